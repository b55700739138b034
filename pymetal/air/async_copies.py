"""`air.simdgroup_async_copy_…`: copies by a whole simdgroup, which kernels declare themselves.

Metal's headers have no such function, but kernels reach Apple's by its AIR name: this is how Metal
Performance Shaders and philipturner's metal-flash-attention load tiles. Each lane copies every 32nd
element at once; waiting for the events is a simdgroup barrier. What of the destination lies beyond
the source's tile becomes zero, or its nearest element with clamp mode 1.
"""

from __future__ import annotations

import re

_LANE = "air.get_thread_index_in_simdgroup.i32"
_COPY = re.compile(r"air\.simdgroup_async_copy_([12])d\.p\di8\.p\di8")
_PAIR = "<2 x i64>"
# element size and alignment; destination, its row and element strides, tile; source the same; where
# the destination starts in the source's tile; clamp mode.
_PLANE = ("i64", "i64", "ptr", "i64", "i64", _PAIR, "ptr", "i64", "i64", _PAIR, _PAIR, "i32")
# element size and alignment, destination, source, count of elements
_ROW = ("i64", "i64", "ptr", "ptr", "i64")
_WAIT = "air.wait_simdgroup_events"
_BARRIER = "air.simdgroup.barrier"

Called = tuple[str, str, tuple[str, ...]]  # name, result, parameters


def definition(name: str, result: str, parameters: tuple[str, ...]) -> tuple[str, Called] | None:
    """The function of that name, and the intrinsic that it calls; None for other functions."""
    if name == _WAIT and (result, parameters) == ("void", ("i32", "ptr")):
        text = (
            f"define internal void @{name}(i32 %p0, ptr %p1) alwaysinline {{\n"
            f"  call void @{_BARRIER}(i32 3, i32 1)\n  ret void\n}}\n"
        )
        return text, (_BARRIER, "void", ("i32", "i32"))
    match = _COPY.fullmatch(name)
    if match is None or result != "ptr":
        return None
    head = ", ".join(f"{type_} %p{i}" for i, type_ in enumerate(parameters))
    if match[1] == "2" and parameters == _PLANE:
        (setup, element), count = _plane(), "%count"
    elif match[1] == "1" and parameters == _ROW:
        setup, count = [], "%p4"
        element = ["  %is_there = icmp eq i64 0, 0", *_addresses("%p2", "%e", "%p3", "%e")]
    else:
        return None
    lines = [
        f"define internal ptr @{name}({head}) alwaysinline {{",
        "entry:",
        *setup,
        f"  %lane = call i32 @{_LANE}()",
        "  %first = zext i32 %lane to i64",
        "  br label %elements",
        "elements:",
        "  %e = phi i64 [ %first, %entry ], [ %e.next, %next ]",
        f"  %more = icmp ult i64 %e, {count}",
        "  br i1 %more, label %element, label %done",
        "element:",
        *element,
        "  %odd = and i64 %p0, 1",
        "  %bytewise = icmp ne i64 %odd, 0",
        "  br i1 %bytewise, label %start.i8, label %even",
        "even:",
        "  %rest = and i64 %p0, 3",
        "  %halves = icmp ne i64 %rest, 0",
        "  br i1 %halves, label %start.i16, label %start.i32",
        *(line for bits in (8, 16, 32) for line in _units(bits)),
        "next:",
        "  %e.next = add i64 %e, 32",
        "  br label %elements",
        "done:",
        "  ret ptr null",
        "}",
    ]
    return "\n".join([*lines, ""]), (_LANE, "i32", ())


def _plane() -> tuple[list[str], list[str]]:
    """What is known before the first element, and where an element comes from and goes to."""
    setup = []
    for value, pair in (("w", 5), ("h", 5), ("sw", 9), ("sh", 9), ("ox", 10), ("oy", 10)):
        at = int(value in ("h", "sh", "oy"))
        setup.append(f"  %{value} = extractelement {_PAIR} %p{pair}, i32 {at}")
    setup.append("  %count = mul i64 %w, %h")
    setup.append("  %edge = icmp eq i32 %p11, 1")
    lines = ["  %x = urem i64 %e, %w", "  %y = udiv i64 %e, %w"]
    for axis, size in (("x", "sw"), ("y", "sh")):
        lines += [
            f"  %s{axis} = add i64 %{axis}, %o{axis}",
            f"  %last{axis} = sub i64 %{size}, 1",
            f"  %low{axis} = call i64 @llvm.smax.i64(i64 %s{axis}, i64 0)",
            f"  %c{axis} = call i64 @llvm.smin.i64(i64 %low{axis}, i64 %last{axis})",
            f"  %in{axis} = icmp eq i64 %s{axis}, %c{axis}",
        ]
    lines += ["  %inside = and i1 %inx, %iny", "  %is_there = or i1 %inside, %edge"]
    for end, row, step, x, y in (("to", 3, 4, "x", "y"), ("from", 7, 8, "cx", "cy")):
        lines += [
            f"  %{end}.row = mul i64 %{y}, %p{row}",
            f"  %{end}.column = mul i64 %{x}, %p{step}",
            f"  %{end}.index = add i64 %{end}.row, %{end}.column",
        ]
    return setup, lines + _addresses("%p2", "%to.index", "%p6", "%from.index")


def _addresses(to: str, to_index: str, source: str, source_index: str) -> list[str]:
    return [
        f"  %to.bytes = mul i64 {to_index}, %p0",
        f"  %to = getelementptr i8, ptr {to}, i64 %to.bytes",
        f"  %from.bytes = mul i64 {source_index}, %p0",
        f"  %from = getelementptr i8, ptr {source}, i64 %from.bytes",
    ]


def _units(bits: int) -> list[str]:
    """One element, so many bits at a time."""
    u, size = f"i{bits}", bits // 8
    return [
        f"start.{u}:",
        f"  br label %units.{u}",
        f"units.{u}:",
        f"  %b.{u} = phi i64 [ 0, %start.{u} ], [ %b.{u}.next, %put.{u} ]",
        f"  %left.{u} = icmp ult i64 %b.{u}, %p0",
        f"  br i1 %left.{u}, label %unit.{u}, label %next",
        f"unit.{u}:",
        f"  br i1 %is_there, label %get.{u}, label %put.{u}",
        f"get.{u}:",
        f"  %at.{u} = getelementptr i8, ptr %from, i64 %b.{u}",
        f"  %got.{u} = load {u}, ptr %at.{u}, align {size}",
        f"  br label %put.{u}",
        f"put.{u}:",
        f"  %value.{u} = phi {u} [ 0, %unit.{u} ], [ %got.{u}, %get.{u} ]",
        f"  %into.{u} = getelementptr i8, ptr %to, i64 %b.{u}",
        f"  store {u} %value.{u}, ptr %into.{u}, align {size}",
        f"  %b.{u}.next = add i64 %b.{u}, {size}",
        f"  br label %units.{u}",
    ]
