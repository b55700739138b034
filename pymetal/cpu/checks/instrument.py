"""The instrumentation pass: what must be checked gets a call of the checker before it.

Works on the canonical function before it is optimised, when every access of the source is still
there and pointers still show what they were made from. Each check has a site: what is accessed,
how, and at which line; the native side knows sites by number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pymetal.air import ir
from pymetal.air.ir import Function, Instruction, Module
from pymetal.air.ir.instruction import call
from pymetal.air.ir.types import (
    DOUBLE,
    I32,
    I64,
    PTR,
    VOID,
    FloatType,
    IntegerType,
    Type,
    VectorType,
)
from pymetal.air.ir.values import Constant, Local, Value
from pymetal.air.ir.values import integer_constant as integer
from pymetal.air.sites import DECLARATION
from pymetal.air.vocabulary import CONVERGE
from pymetal.air.wrapper import Parameter
from pymetal.cpu.checks.arithmetic import Arithmetic
from pymetal.cpu.checks.locations import Locations, Place
from pymetal.cpu.checks.objects import MEMSET, Object, Objects
from pymetal.cpu.checks.runtime import DECLARATIONS
from pymetal.cpu.checks.sites import BUFFER, STACK, UNKNOWN, Site
from pymetal.cpu.intrinsics import Barrier, CrossLane, Matrix, meaning


class Instrumentation:
    """One kernel's checks. `sites` and `barriers` (by "pymetal.site") grow as it is made."""

    def __init__(self, nan: bool = False) -> None:
        self.nan = nan
        self.sites: list[Site] = []
        self.barriers: dict[int, Place] = {}

    def arithmetic(self, text: str) -> str:
        """Check shift counts and conversions to integers, while LLVM's own stand for them."""
        return Arithmetic(self.sites).checked(text)

    def memory(self, text: str, name: str, parameters: tuple[Parameter, ...]) -> str:
        """Check every access and barrier of `@name`; debug information goes."""
        module = ir.read(text)
        function = module.functions[name]
        ir.expand_constant_expressions(function)
        locations = Locations(module.metadata)
        _Pass(self, module, function, parameters, locations).run()
        for other in module.functions.values():
            other.suffix = re.sub(r" !dbg !\d+", "", other.suffix)
        for instruction in function.instructions:
            instruction.metadata = []
        module.metadata.clear()
        clear = "" if MEMSET in module.functions else f"declare void @{MEMSET}(ptr, i8, i64, i1)\n"
        meet = "" if CONVERGE in module.functions else DECLARATION
        return f"{module}\n{clear}{meet}{DECLARATIONS}"


@dataclass
class _Pass:
    checks: Instrumentation
    module: Module
    function: Function
    parameters: tuple[Parameter, ...]
    locations: Locations

    def run(self) -> None:
        self.objects = Objects(self.module, self.function)
        self.layout = self.objects.layout
        self.written: set[int] = set()
        self.objects.parameters(self.parameters)
        head = self.objects.private_arrays()
        accesses = [i for i in self.function.instructions if self._writes(i)]
        unknown = False
        for pointer in [p for i in self.function.instructions for p in self._pointers(i)]:
            self.objects.of(pointer)  # what that adds is not checked
        for i in accesses:
            found = self.objects.of(self._pointer(i))
            unknown = unknown or found.space == UNKNOWN
            if found.space == BUFFER:
                self.written.add(found.index)
        self.limits: dict[int, Local] = {}
        if not unknown:
            for p in self.parameters:
                slot = self.objects.known[p.name].index if p.role == "buffer" else -1
                if slot >= 0 and slot not in self.written:
                    limit = call(
                        self.function.fresh("limit"),
                        I64,
                        "pymetal_check_limit",
                        [integer(I32, slot)],
                    )
                    head.append(limit)
                    self.limits[slot] = limit.result
        for block in self.function.blocks:
            out: list[Instruction] = []
            for i in block.instructions:
                self._check(i, out)
            block.instructions = out
        first = self.function.blocks[0].instructions
        at = next((k for k, i in enumerate(first) if i.opcode != "alloca"), 0)
        first[at:at] = head

    # checks

    def _place(self, i: Instruction) -> Place:
        for kind, node in i.metadata:
            if kind == "!dbg":
                return self.locations.place(node)
        return Place()

    def _site(self, i: Instruction, what: str, found: Object, **facts: object) -> Value:
        site = Site(
            what,
            self._place(i),
            found.space,
            found.index,
            found.size_bytes,
            name=found.name,
            **facts,  # type: ignore[arg-type]
        )
        self.checks.sites.append(site)
        return integer(I32, len(self.checks.sites) - 1)

    def _writes(self, i: Instruction) -> bool:
        if i.opcode in ("store", "atomicrmw", "cmpxchg"):
            return True
        if i.opcode != "call":
            return False
        what = meaning(i.callee)
        if isinstance(what, Matrix):
            return what.operation == "store"
        return i.callee.startswith(("llvm.memcpy", "llvm.memmove", "llvm.memset"))

    def _pointers(self, i: Instruction) -> list[Value]:
        """What an instruction accesses memory by."""
        if i.opcode == "load" or self._writes(i):
            copies = i.opcode == "call" and i.callee.startswith(("llvm.memcpy", "llvm.memmove"))
            return i.operands[:2] if copies else [self._pointer(i)]
        what = meaning(i.callee) if i.opcode == "call" else None
        return i.operands[:1] if isinstance(what, Matrix) and what.operation == "load" else []

    def _pointer(self, i: Instruction) -> Value:
        if i.opcode == "store":
            return i.operands[1]
        if i.opcode == "call" and isinstance(meaning(i.callee), Matrix):
            return i.operands[1]
        return i.operands[0]

    def _check(self, i: Instruction, out: list[Instruction]) -> None:
        if i.opcode == "load":
            self._access(i, 0, i.type, out, reads=True)
        elif i.opcode == "store":
            self._access(i, 1, i.operands[0].type, out, writes=True, value=i.operands[0])
        elif i.opcode in ("atomicrmw", "cmpxchg"):
            type_ = i.operands[1].type
            self._access(i, 0, type_, out, reads=True, writes=True, atomic=True)
        elif i.opcode == "call":
            self._call(i, out)
            what = meaning(i.callee)
            if isinstance(what, Matrix) and what.operation in ("load", "store"):
                self._matrix(i, what, out)
                return
        out.append(i)
        if self.checks.nan:
            self._finite(i, out)

    def _access(
        self,
        i: Instruction,
        operand: int,
        type_: Type,
        out: list[Instruction],
        reads: bool = False,
        writes: bool = False,
        atomic: bool = False,
        value: Value | None = None,
    ) -> None:
        size = self.layout.size(type_)
        scalar = type_.element if isinstance(type_, VectorType) else type_
        unit = self.layout.size(scalar)
        if isinstance(type_, VectorType):
            size = unit * type_.count
        atomic = atomic or bool(i.ordering)
        found = self.objects.of(i.operands[operand])
        align = max(i.align, 1)
        site = self._site(
            i,
            "atomic" if atomic else "load" if reads else "store",
            found,
            size_bytes=size,
            align=align,
            reads=reads,
            writes=writes,
            atomic=atomic,
            unit=found.struct_bytes or unit,
            scalar=scalar.text,
        )
        address = i.operands[operand]
        bits = self._bits(value, out) if value is not None and not atomic else []
        i.operands[operand] = self._checked(address, found, site, size, align, bits, out)
        if bits and scalar.text == "bfloat" and scalar is type_:
            # LLVM would pass it through float, which changes signalling NaNs.
            narrow = Instruction("trunc", self.function.fresh("stored"), IntegerType(16), [bits[0]])
            out.append(narrow)
            i.operands[0] = narrow.result
        if not atomic:
            i.align = min(align, unit) if isinstance(type_, VectorType) else 1

    def _checked(
        self,
        address: Value,
        found: Object,
        site: Value,
        size: int,
        align: int,
        bits: list[Value],
        out: list[Instruction],
    ) -> Value:
        base = found.base or address
        bytes_ = integer(I64, size)
        name = self.function.fresh("checked")
        if found.space == BUFFER and found.index in self.limits:
            operands = [address, base, self.limits[found.index], site, bytes_]
            check = call(name, PTR, "pymetal_check_read", [*operands, integer(I64, align - 1)])
        elif found.space == STACK and found.shadow is not None:
            check = call(
                name, PTR, "pymetal_check_private", [address, base, found.shadow, site, bytes_]
            )
        elif bits:
            check = call(name, PTR, "pymetal_check_store", [address, base, site, bytes_, *bits])
        else:
            check = call(name, PTR, "pymetal_check", [address, base, site, bytes_])
        out.append(check)
        return check.result

    def _bits(self, value: Value, out: list[Instruction]) -> list[Value]:
        """A scalar or vector of up to 16 bytes as two i64, the lower first; else nothing."""
        type_ = value.type

        def add(opcode: str, to: Type, *operands: Value) -> Value:
            made = Instruction(opcode, self.function.fresh("bits"), to, list(operands))
            out.append(made)
            return made.result

        if isinstance(type_, VectorType):
            bits = 8 * self.layout.size(type_.element) * type_.count
            if bits > 128 or type_.element.text == "i1" or type_.element == PTR:
                return []
            value = add("bitcast", IntegerType(bits), value)
        elif isinstance(type_, FloatType):
            value = add("bitcast", IntegerType(8 * self.layout.size(type_)), value)
        type_ = value.type
        if not isinstance(type_, IntegerType) or type_.bits > 128:
            return []
        zero = integer(I64, 0)
        if type_.bits <= 64:
            return [value if type_.bits == 64 else add("zext", I64, value), zero]
        wide = IntegerType(128)
        if type_.bits < 128:
            value = add("zext", wide, value)
        high = add("lshr", wide, value, integer(wide, 64))
        return [add("trunc", I64, value), add("trunc", I64, high)]

    def _call(self, i: Instruction, out: list[Instruction]) -> None:
        name = i.callee
        if name.startswith("pymetal_check_"):  # of arithmetic
            at = int(i.operands[-1].text)
            self.checks.sites[at] = replace(self.checks.sites[at], place=self._place(i))
            return
        if name.startswith(("llvm.memcpy", "llvm.memmove", "llvm.memset")):
            size = i.operands[2]
            if not isinstance(size, Constant):
                return
            for operand in (0,) if "memset" in name else (1, 0):
                found = self.objects.of(i.operands[operand])
                writes = operand == 0
                site = self._site(
                    i,
                    "store" if writes else "load",
                    found,
                    size_bytes=int(size.literal),
                    # Copies include padding, which nobody writes.
                    reads=not writes and found.space != STACK,
                    writes=writes,
                )
                address = i.operands[operand]
                i.operands[operand] = self._checked(
                    address, found, site, int(size.literal), 1, [], out
                )
            if i.call is not None:
                i.call.argument_attributes = [
                    re.sub(r"align \d+ ?|dereferenceable\(\d+\) ?", "", a).strip()
                    for a in i.call.argument_attributes
                ]
            return
        what = meaning(name)
        if isinstance(what, Barrier | CrossLane | Matrix) and name != CONVERGE:
            number = self.module.attributes(i).get("pymetal.site")
            if number is not None:
                self.checks.barriers[int(number)] = self._place(i)
        if isinstance(what, Barrier) and what.scope == "threadgroup":
            out.append(call("", VOID, "pymetal_check_fence", [i.operands[0]]))

    def _matrix(self, i: Instruction, what: Matrix, out: list[Instruction]) -> None:
        """A lane's two elements, one by one: either may be where nothing must be touched."""
        store = what.operation == "store"
        pointer, stride, origin, transpose = i.operands[1:] if store else i.operands
        found = self.objects.of(pointer)
        unit = 4 if what.llvm_type == "float" else 2
        site = self._site(
            i,
            "matrix",
            found,
            size_bytes=unit,
            reads=not store,
            writes=store,
            unit=unit,
            scalar=what.llvm_type,
        )
        parts: list[Value] = []
        for k in range(2):
            part = Instruction(
                "extractelement", self.function.fresh("origin"), I64, [origin, integer(I32, k)]
            )
            out.append(part)
            parts.append(part.result)
        flag = Instruction("zext", self.function.fresh("transpose"), I32, [transpose])
        out.append(flag)
        addresses = []
        for k in range(2):
            operands = [pointer, found.base or pointer, stride, *parts, flag.result]
            check = call(
                self.function.fresh("checked"),
                PTR,
                "pymetal_check_matrix",
                [*operands, integer(I32, k), site],
            )
            out.append(check)
            addresses.append(check.result)
        meet = call("", VOID, CONVERGE, [integer(I32, 0)] * 2)
        assert meet.call is not None
        assert i.call is not None
        meet.call.function_attributes = i.call.function_attributes
        out.append(meet)
        pair: Value = i.operands[0] if store else Constant(i.type, "poison")
        assert isinstance(pair.type, VectorType)
        for k, address in enumerate(addresses):
            element = Instruction(
                "extractelement" if store else "load",
                self.function.fresh("element"),
                pair.type.element,
                [pair, integer(I32, k)] if store else [address],
                align=0 if store else 1,
            )
            out.append(element)
            if store:
                out.append(Instruction("store", operands=[element.result, address], align=1))
            else:
                name = i.name if k else self.function.fresh("pair")
                operands = [pair, element.result, integer(I32, k)]
                out.append(Instruction("insertelement", name, i.type, operands))
                pair = out[-1].result

    def _finite(self, i: Instruction, out: list[Instruction]) -> None:
        """Whether arithmetic on finite values gave one that is not."""
        arithmetic = i.opcode in ("fadd", "fsub", "fmul", "fdiv", "frem", "fptrunc") or (
            i.opcode == "call" and not i.callee.startswith(("pymetal", "air.simd", "air.quad"))
        )
        operands = [o for o in i.operands if isinstance(o.type, FloatType)][:3]
        if not arithmetic or not isinstance(i.type, FloatType) or not operands:
            return
        site = self._site(i, "float", Object())
        wide: list[Value] = []
        for value in (i.result, *operands, *operands[:1] * (3 - len(operands))):
            if value.type.text != "double":
                cast = Instruction("fpext", self.function.fresh("wide"), DOUBLE, [value])
                out.append(cast)
                value = cast.result
            wide.append(value)
        out.append(call("", VOID, "pymetal_check_finite", [*wide, site]))
