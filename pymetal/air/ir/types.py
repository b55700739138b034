"""The types of textual LLVM IR. Equal types are one object, so they compare with `is` or `==`."""

from __future__ import annotations

from functools import cache


class Type:
    """A type; `text` is its spelling in IR."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__


class IntegerType(Type):
    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        super().__init__(f"i{bits}")
        self.bits = bits


class FloatType(Type):
    """half, bfloat, float or double."""

    __slots__ = ("bits",)

    def __init__(self, text: str, bits: int) -> None:
        super().__init__(text)
        self.bits = bits


class PointerType(Type):
    __slots__ = ("space",)

    def __init__(self, space: int) -> None:
        super().__init__(f"ptr addrspace({space})" if space else "ptr")
        self.space = space


class VectorType(Type):
    __slots__ = ("count", "element")

    def __init__(self, count: int, element: Type) -> None:
        super().__init__(f"<{count} x {element.text}>")
        self.count = count
        self.element = element


class ArrayType(Type):
    __slots__ = ("count", "element")

    def __init__(self, count: int, element: Type) -> None:
        super().__init__(f"[{count} x {element.text}]")
        self.count = count
        self.element = element


class StructType(Type):
    __slots__ = ("fields", "packed")

    def __init__(self, fields: tuple[Type, ...], packed: bool) -> None:
        inner = ", ".join(f.text for f in fields)
        braced = f"{{ {inner} }}" if fields else "{}"
        super().__init__(f"<{braced}>" if packed else braced)
        self.fields = fields
        self.packed = packed


class NamedType(Type):
    """`%name`; the module's `types` say what it stands for."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__(f"%{name}")
        self.name = name


class FunctionType(Type):
    """Spelt at calls only when the callee takes variable arguments."""

    __slots__ = ("parameters", "result", "variadic")

    def __init__(self, result: Type, parameters: tuple[Type, ...], variadic: bool) -> None:
        inner = ", ".join([*(p.text for p in parameters), *(["..."] if variadic else [])])
        super().__init__(f"{result.text} ({inner})")
        self.result = result
        self.parameters = parameters
        self.variadic = variadic


integer = cache(IntegerType)
pointer = cache(PointerType)
array = cache(ArrayType)
named = cache(NamedType)
function = cache(FunctionType)
vector = cache(VectorType)
_struct = cache(StructType)


def struct(fields: tuple[Type, ...], packed: bool = False) -> StructType:
    """`{ fields }`, or `<{ fields }>` without padding."""
    return _struct(fields, packed)


VOID = Type("void")
LABEL = Type("label")
METADATA = Type("metadata")
TOKEN = Type("token")
I1, I8, I16, I32, I64 = (integer(n) for n in (1, 8, 16, 32, 64))
HALF = FloatType("half", 16)
BFLOAT = FloatType("bfloat", 16)
FLOAT = FloatType("float", 32)
DOUBLE = FloatType("double", 64)
PTR = pointer(0)

# Types of one token, by spelling. `ptr` is not here: `addrspace` may follow it.
SIMPLE: dict[str, Type] = {
    t.text: t for t in (VOID, LABEL, METADATA, TOKEN, HALF, BFLOAT, FLOAT, DOUBLE)
} | {f"i{n}": integer(n) for n in (1, 8, 16, 32, 64, 128)}
