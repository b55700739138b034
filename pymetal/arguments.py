"""Binding: values to the memory behind a kernel's buffer arguments.

The kernel's declared type decides what a value becomes. Nothing is converted, copied or rounded
behind the caller's back except a Python float, which becomes the nearest value of its type:

- Python and NumPy numbers become one element, range-checked, for references (`constant uint& n`)
  and `constant` pointers. An int for a floating type must be exact in it, a finite float must not
  become infinite, a bool is only a bool.
- Tuples and lists of numbers become a vector or a matrix (by columns), dicts and structured
  scalars a struct.
- Where pointers stand in a buffer (an argument buffer), arrays stand in the value: in the dict of
  a struct, or in a list for a pointer to pointers.
- Arrays of any library are bound as they are: C-contiguous, of the declared dtype, no copy. Those
  for arguments that the kernel writes are written in place. Narrow floats and ints of ml_dtypes,
  which MSL has no types for, are bytes for `uchar` and `char` arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pymetal.air.function import Argument, Field, Function
from pymetal.arrays import viewed
from pymetal.datatypes import (
    POINTER,
    DataType,
    DType,
    argument_dtype,
    data_type,
    describe_dtype,
    struct_dtype,
)
from pymetal.devices import Binding
from pymetal.errors import ArgumentError
from pymetal.scalars import Misfit, convert_number
from pymetal.shown import shown

Array = np.ndarray[Any, Any]

# No CPU load that we emit needs more, and every NumPy allocation has it.
ALIGNMENT_BYTES = 16
_BYTES = (np.dtype(np.uint8), np.dtype(np.int8))


def bind(function: Function, argument: Argument, value: Any, max_bytes: int) -> Binding:
    """Check `value` against `argument` of `function` and give the memory to bind."""
    reached: list[Binding] = []
    try:
        if argument.kind != "buffer":
            raise Misfit(f"{argument.kind}s are not supported")
        view = viewed(value)
        if view is not None:
            value = view
        if isinstance(value, np.ndarray) and (value.ndim or argument.access != "read"):
            array = _array(argument, value, max_bytes)
        elif argument.holds_pointers:
            array = _argument_buffer(argument, value, _Reach(argument, max_bytes, reached))
        else:
            array = _element(argument, value)
    except Misfit as misfit:
        raise ArgumentError(
            f"{function.name}: argument '{argument.name}', declared `{argument}`: {misfit}",
            argument=argument.name,
        ) from None
    return Binding(argument, array, argument.access != "read", tuple(reached))


def slot(argument: Argument) -> tuple[bool, int, int, bool, bool, DType | None, str]:
    """What `_native.Calls` needs to know to bind the plain cases of `bind` by itself.

    Whether it is written, size and alignment of an element, whether there is just one,
    whether an element is padded, dtype and NumPy's kind of a number that it takes ("" for none).
    """
    dtype = argument_dtype(argument) if argument.kind == "buffer" and argument.size_bytes else None
    kind = data_type(argument.type_name) if dtype is not None and not argument.fields else None
    takes_number = argument.access == "read" and (
        argument.is_reference or argument.address_space == "constant"
    )
    return (
        argument.access != "read",
        argument.size_bytes or 1,
        min(argument.align_bytes, ALIGNMENT_BYTES),
        argument.is_reference,
        kind is not None and kind.rows == 3 and not kind.packed,
        dtype,
        kind.dtype.kind if kind is not None and kind.is_scalar and takes_number else "",
    )


def check_overlaps(function: Function, bindings: Sequence[Binding]) -> None:
    """Refuse arrays that share part of their memory with one that the kernel writes.

    The very same memory twice is in-place work, and allowed.
    """
    bindings = [b for binding in bindings for b in (binding, *binding.reached)]
    spans = [(_address(b.array), b.array.nbytes) for b in bindings]
    for i, written in enumerate(bindings):
        if not written.written:
            continue
        start, size = spans[i]
        for j, other in enumerate(bindings):
            apart = spans[j][0] >= start + size or spans[j][0] + spans[j][1] <= start
            if i == j or apart or spans[i] == spans[j]:
                continue
            raise ArgumentError(
                f"{function.name}: the arrays of '{written.argument.name}', which is written, and "
                f"'{other.argument.name}' overlap without being the same; pass a copy of one",
                argument=written.argument.name,
            )


# --- arrays -------------------------------------------------------------------------------------


def _array(argument: Argument, array: Array, max_bytes: int) -> Array:
    _check_dtype(argument, array)
    if not array.flags.c_contiguous:
        raise Misfit(
            f"the array is not C-contiguous (shape {array.shape}, strides {array.strides}); "
            "pass np.ascontiguousarray(x)"
            + (" and read the result from it" if argument.access != "read" else "")
        )
    if argument.access != "read" and not array.flags.writeable:
        raise Misfit("the kernel writes it, but the array is read-only")
    if array.size == 0:
        raise Misfit(f"the array of shape {array.shape} is empty; Metal has no empty buffers")
    if array.nbytes > max_bytes:
        raise Misfit(f"the array is {array.nbytes} bytes; the device allows {max_bytes} a buffer")
    _check_size(argument, array)
    alignment = min(argument.align_bytes, ALIGNMENT_BYTES)
    if alignment > 1 and _address(array) % alignment:
        raise Misfit(
            f"the array's memory does not start at a multiple of {alignment} bytes, as "
            f"{argument.type_name} must; pass x.copy()"
        )
    return array


def _check_dtype(argument: Argument, array: Array) -> None:
    dtype = array.dtype
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(array, masked.MaskedArray):
        raise Misfit("got a masked array; kernels see no masks: pass x.filled(value)")
    if dtype.hasobject:
        raise Misfit("got an object array; kernels take numbers")
    if dtype.kind in "SUT":
        raise Misfit(f"got an array of strings ({dtype}); kernels take numbers")
    if dtype.kind in "mM":
        raise Misfit(f"got an array of {dtype}; pass x.view(np.int64)")
    if not dtype.isnative:
        native = dtype.newbyteorder("=")
        raise Misfit(f"got a big-endian array ({dtype.str}); pass x.astype({_spell(native)})")
    declared = argument_dtype(argument)
    if declared is None or dtype == declared:
        return
    if dtype == np.uint8 and argument.fields:
        return  # raw bytes of structs
    if dtype.itemsize == 1 and dtype.type.__module__ == "ml_dtypes" and declared in _BYTES:
        return
    if argument.fields:
        raise Misfit(
            f"got dtype {describe_dtype(dtype)}; {argument.type_name} is {describe_dtype(declared)}"
        )
    if dtype.kind == "c":
        hint = "kernels have no complex type: pass x.view of its real type for a vector of two"
    elif dtype == np.float64 or (dtype.kind == "f" and dtype.itemsize > 8):
        hint = f"Metal has no double: pass x.astype({_spell(declared)})"
    else:
        hint = f"pass x.astype({_spell(declared)})"
    raise Misfit(f"got an array of {dtype}; {hint}")


def _check_size(argument: Argument, array: Array) -> None:
    """Whole elements, and exactly one of them for a reference; at least one if open-ended."""
    size = argument.size_bytes
    if not size:
        return  # void
    if argument.is_open_ended:
        if array.nbytes < size:
            raise Misfit(f"got {array.nbytes} bytes; one {argument.type_name} has {size}")
        return
    kind = data_type(argument.type_name) if not argument.fields else None
    padded = kind is not None and kind.rows == 3 and not kind.packed
    note = ""
    if padded:
        assert kind is not None
        note = (
            f"; a column of {kind.name} takes {kind.column_slots * kind.dtype.itemsize} bytes"
            if kind.columns > 1
            else f"; {kind.name} takes {size} bytes, the room of 4: pad the rows to 4, or declare "
            f"packed_{kind.name}"
        )
        if array.ndim > 1 and array.shape[-1] == 3:
            raise Misfit(f"got shape {array.shape}{note}")
    if argument.is_reference and array.nbytes != size:
        raise Misfit(
            f"is exactly one {argument.type_name} ({size} bytes); got an array of shape "
            f"{array.shape}, {array.nbytes} bytes{note}"
        )
    if array.nbytes % size:
        raise Misfit(
            f"got an array of shape {array.shape}, {array.nbytes} bytes, which is not a "
            f"whole number of {argument.type_name} ({size} bytes each){note}"
        )


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _spell(dtype: DType) -> str:
    return f"ml_dtypes.{dtype}" if dtype.kind == "V" and dtype.names is None else f"np.{dtype}"


# --- argument buffers ---------------------------------------------------------------------------


class _Reach:
    """Binds the arrays that pointers in a buffer point to, and gives their addresses."""

    def __init__(self, argument: Argument, max_bytes: int, reached: list[Binding]) -> None:
        self._argument, self._max_bytes, self._reached = argument, max_bytes, reached

    def __call__(self, pointee: Argument, name: str, value: Any) -> int:
        if pointee.kind != "buffer":
            raise Misfit(f"{pointee.kind}s are not supported")
        kind = data_type(pointee.type_name)
        if kind is not None:
            align = kind.dtype.itemsize * (1 if kind.packed else kind.column_slots)
            pointee = replace(pointee, size_bytes=kind.size_bytes, align_bytes=align)
        pointee = replace(pointee, index=self._argument.index, name=f"{self._argument.name}.{name}")
        view = viewed(value)
        array = value if view is None else view
        if not isinstance(array, np.ndarray) or not array.ndim:
            raise Misfit(f"is a pointer: pass a NumPy array, got {_came(value)}")
        array = _array(pointee, array, self._max_bytes)
        self._reached.append(Binding(pointee, array, pointee.access != "read"))
        return _address(array)


def _argument_buffer(argument: Argument, value: Any, reach: _Reach) -> Array:
    """Structs with pointers from a dict or a list of dicts, pointers from a list of arrays."""
    one = argument.is_reference or isinstance(value, Mapping)
    values = [value] if one else value
    if not isinstance(values, (tuple, list)) or not values:
        what = "arrays" if argument.points_to else "dicts"
        raise Misfit(f"pass a list of {what}, got {_came(value)}")
    if argument.points_to is not None:
        pointers = [reach(argument.points_to, str(i), item) for i, item in enumerate(values)]
        return np.array(pointers, POINTER)
    dtype = struct_dtype(argument.fields, argument.size_bytes)
    if dtype is None:
        raise Misfit("its members have no NumPy layout, so there is no way to fill it")
    elements = np.zeros(len(values), dtype)
    for element, item in zip(elements, values, strict=True):
        if not isinstance(item, Mapping):
            raise Misfit(f"got {_came(item)}; pass a dict: {describe_dtype(dtype)}")
        _fill_struct(element, argument.type_name, argument.fields, item, reach)
    return elements


# --- single elements ----------------------------------------------------------------------------


def _element(argument: Argument, value: Any) -> Array:
    """One element of a reference or a `constant` pointer, from a number, sequence or struct."""
    if argument.access != "read":
        raise Misfit(f"the kernel writes it: pass a NumPy array, got {_came(value)}")
    if not (argument.is_reference or argument.address_space == "constant"):
        raise Misfit(f"pass a NumPy array, got {_came(value)}")
    if isinstance(value, np.ndarray):
        value = value[()]  # a 0-d array is a scalar
    if argument.fields:
        return _struct(argument, value)
    kind = data_type(argument.type_name)
    if kind is None:
        raise Misfit(f"pass an array of {argument.size_bytes} bytes, got {_came(value)}")
    element = np.zeros(kind.slots, kind.dtype)
    _fill(element, kind, value)
    return element


def _struct(argument: Argument, value: Any) -> Array:
    dtype = struct_dtype(argument.fields, argument.size_bytes)
    if dtype is None:
        raise Misfit(
            f"pass np.uint8 bytes, {argument.size_bytes} of them; its members have no NumPy layout"
        )
    if isinstance(value, np.void):
        if value.dtype != dtype:
            raise Misfit(
                f"got {describe_dtype(value.dtype)}; {argument.type_name} is "
                f"{describe_dtype(dtype)}"
            )
        return np.array([value], dtype)
    if not isinstance(value, Mapping):
        raise Misfit(
            f"got {_came(value)}; pass a dict or a structured scalar: {describe_dtype(dtype)}"
        )
    element = np.zeros(1, dtype)
    _fill_struct(element[0], argument.type_name, argument.fields, value)
    return element


def _fill_struct(
    target: Any,
    type_name: str,
    fields: tuple[Field, ...],
    values: Mapping[Any, Any],
    reach: _Reach | None = None,
) -> None:
    names = [field.name for field in fields]
    missing = [name for name in names if name not in values]
    unknown = [str(name) for name in values if name not in names]
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has no {', '.join(unknown)}"
        which = "the dict" if missing else type_name
        raise Misfit(f"{which} {what}; {type_name} has {', '.join(names)}")
    for field in fields:
        try:
            _fill_field(target, field, values[field.name], reach)
        except Misfit as misfit:
            raise Misfit(f"field '{field.name}': {misfit}") from None


def _fill_field(target: Any, field: Field, value: Any, reach: _Reach | None) -> None:
    if field.array_length:
        if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
            raise Misfit(f"takes {field.array_length} values, got {_came(value)}")
        if len(value) != field.array_length:
            raise Misfit(f"takes {field.array_length} values, got {len(value)}")
        places: list[tuple[Any, Any, Any]] = [
            (target[field.name], i, item) for i, item in enumerate(value)
        ]
    else:
        places = [(target, field.name, value)]
    for container, key, item in places:
        if field.points_to is not None:
            assert reach is not None
            container[key] = reach(field.points_to, field.name, item)
            continue
        if field.fields:
            if not isinstance(item, Mapping):
                raise Misfit(f"takes a dict, got {_came(item)}")
            _fill_struct(container[key], field.type_name, field.fields, item, reach)
            continue
        kind = data_type(field.type_name)
        if kind is None:
            raise Misfit(f"{field.type_name} has no NumPy layout")
        element = np.zeros(kind.slots, kind.dtype)
        _fill(element, kind, item)
        if kind.columns == 1 and not field.array_length:
            element = element[: kind.rows]
        shape = np.shape(container[key])
        container[key] = element.reshape(shape) if shape else element[0]


def _fill(element: Array, kind: DataType, value: Any) -> None:
    """Numbers into the slots of one scalar, vector or matrix."""
    if kind.is_scalar:
        element[0] = convert_number(value, kind)
        return
    if kind.columns > 1:
        columns = _sequence(value, kind.columns, kind, "columns")
        for i, column in enumerate(columns):
            for j, item in enumerate(_sequence(column, kind.rows, kind, "rows")):
                element[i * kind.column_slots + j] = convert_number(item, kind)
        return
    for j, item in enumerate(_sequence(value, kind.rows, kind, "numbers")):
        element[j] = convert_number(item, kind)


def _sequence(value: Any, length: int, kind: DataType, what: str) -> Sequence[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, (tuple, list, np.ndarray)):
        raise Misfit(f"{kind.name} takes {length} {what}, got {_came(value)}")
    if len(value) != length:
        raise Misfit(f"{kind.name} takes {length} {what}, got {len(value)}")
    return list(value)


def _came(value: Any) -> str:
    return f"{type(value).__name__} {shown(value)}"
