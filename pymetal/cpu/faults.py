"""What the runtime says of a launch that failed, as a `KernelFault` in the program's terms."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from pymetal import _native
from pymetal.air.fault_addresses import CALLS_TOO_DEEP, NO_FUNCTION
from pymetal.devices import Binding
from pymetal.errors import KernelFault

# An address further from every argument than this is near none of them.
NEAR_BYTES = 1 << 30


def kernel_fault(
    name: str, fault: _native.Fault, bindings: Sequence[Binding], timeout: float | None = None
) -> KernelFault:
    """The error of kernel `name`; `kind` tells what it is, as `_native.Fault.kind` does."""
    kind = fault.kind
    if kind == "barrier":
        return _barrier(name, fault)
    if kind == "timeout":
        return KernelFault(
            f"{name}: still running after {timeout:g} s, so it was stopped\n"
            "  it may loop for ever; otherwise give it more time, or split the grid",
            kernel=name,
            kind=kind,
            timeout=timeout,
        )
    if kind == "interrupt":
        return KernelFault(
            f"{name}: interrupted by a signal whose handler raised nothing",
            kernel=name,
            kind=kind,
        )
    group, thread = tuple(fault.threadgroup_position_in_grid), tuple(fault.thread_position_in_grid)
    where = f"at or near thread {thread}, threadgroup {group}"
    facts = {"kernel": name, "kind": kind, "threadgroup": group, "thread": thread}
    if kind == "stack":
        return KernelFault(
            f"{name}: its stack is full: an access missed a private array\n  {where}",
            **facts,
        )
    if kind == "trap":
        reason = signal.Signals(fault.signal).name
        return KernelFault(f"{name}: stopped by {reason}\n  {where}", signal=reason, **facts)
    if fault.address == CALLS_TOO_DEEP:
        from pymetal.air.recursion import MOST_CALLS_DEEP

        return KernelFault(
            f"{name}: a function called itself more than {MOST_CALLS_DEEP} deep\n  {where}",
            **facts,
        )
    if fault.address == NO_FUNCTION:
        return KernelFault(
            f"{name}: a call through a pointer that points to no function\n  {where}", **facts
        )
    if not fault.address and not fault.access:
        return KernelFault(
            f"{name}: access to an address that no memory can have\n  {where}\n"
            "  run it with check=True to see the line",
            address=0,
            access="",
            argument="",
            **facts,
        )
    what = {"read": "read of", "write": "write to"}.get(fault.access, "access to")
    near, text = _nearest(fault.address, bindings)
    return KernelFault(
        f"{name}: {what} address {fault.address:#x}, {text}\n  {where}\n"
        "  run it with check=True to see the line",
        address=fault.address,
        access=fault.access,
        argument=near,
        **facts,
    )


def _nearest(address: int, bindings: Sequence[Binding]) -> tuple[str, str]:
    """The argument whose memory is nearest, and in words how far that is."""
    best: tuple[int, Binding, int] | None = None
    for binding in (b for bound in bindings for b in (bound, *bound.reached)):
        start = binding.array.__array_interface__["data"][0]
        offset = address - start
        distance = max(-offset, offset - binding.array.nbytes + 1, 0)
        if best is None or distance < best[0]:
            best = (distance, binding, offset)
    if best is None or best[0] > NEAR_BYTES:
        return "", "which is near none of its arguments"
    _, binding, offset = best
    argument = binding.argument
    size = argument.size_bytes or 1
    elements = binding.array.nbytes // size
    element = offset // size
    return argument.name, (
        f"nearest to buffer({argument.index}) '{argument.name}': element {element} of {elements}"
    )


def _barrier(name: str, fault: _native.Fault) -> KernelFault:
    where = tuple(fault.threadgroup_position_in_grid)
    lines = [f"{name}: only part of threadgroup {where} reached a barrier"]
    lines.append(f"barrier {fault.site}: {threads(fault.waiting)} waiting")
    if fault.elsewhere:
        lines.append(f"barrier {fault.elsewhere_site}: {threads(fault.elsewhere)} waiting")
    if fault.absent:
        lines.append(f"not at a barrier: {threads(fault.absent)}")
    lines.append("every thread of a threadgroup must reach the same barrier, or none")
    return KernelFault(
        "\n  ".join(lines),
        kernel=name,
        kind="barrier",
        threadgroup=where,
        site=fault.site,
        waiting=tuple(fault.waiting),
        elsewhere=tuple(fault.elsewhere),
        absent=tuple(fault.absent),
    )


def threads(indices: Sequence[int]) -> str:
    """Indices in the threadgroup, runs shortened: "threads 0-3, 7 (5)"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    shown = ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in runs[:4])
    more = ", …" if len(runs) > 4 else ""
    word = "thread" if len(indices) == 1 else "threads"
    return f"{word} {shown}{more}" + (f" ({len(indices)})" if len(indices) > 1 else "")
