"""Atomic operations, one active lane after another in the lanes' order."""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.air.ir.values import Local, Value
from pymetal.cpu.vectorise import gathers
from pymetal.cpu.vectorise.emitter import Emitter, wide
from pymetal.cpu.vectorise.reasons import NotVectorised


def lower(e: Emitter, i: Instruction) -> None:
    """An atomicrmw or cmpxchg: a helper loops over lanes whose operands wait on the stack."""
    value_type = e.type_text(i.operands[1].type)
    own = _in_threadgroup_memory(e, i.operands[0], set())
    used = i.opcode == "cmpxchg" or _is_used(e, i)
    helper = f"each.{i.opcode}.{i.predicate or 'x'}.{value_type}"
    if own and not used and e.mask is None and i.predicate in _PLAIN and e.has_room():
        _together(e, i, value_type)
        return
    if own:
        helper += ".own"
    if helper not in e.helpers.definitions:
        e.helpers.definitions[helper] = _definition(i, helper, value_type, own)
    arguments = []
    for operand in i.operands:
        type_ = wide(e.type_text(operand.type))
        place = e.stack(type_)
        e.do(f"store {type_} {e.vector(operand)}, ptr {place}")
        arguments.append(f"ptr {place}")
    results = e.stack(wide(value_type))
    inner = ", ".join([*arguments, f"ptr {results}", f"i32 {e.mask_bits()}"])
    e.do(f"call void @{helper}({inner})")
    if i.opcode == "atomicrmw":
        e.define(i, e.let(f"load {wide(value_type)}, ptr {results}"))
    else:
        # Whether it swapped follows from what it found.
        e.known[i.name] = e.let(f"load {wide(value_type)}, ptr {results}")
        found, expected = e.known[i.name], e.vector(i.operands[1])
        e.known[f"{i.name} swapped"] = e.let(f"icmp eq {wide(value_type)} {found}, {expected}")


# Operations that are one instruction of LLVM's outside of atomicrmw, too.
_PLAIN = frozenset(["add", "sub", "and", "or", "xor", "fadd", "fsub"])


def _in_threadgroup_memory(e: Emitter, value: Value, seen: set[str]) -> bool:
    """Whether an address is one of threadgroup memory: one thread of the processor runs a whole
    threadgroup, so that nobody else is there meanwhile."""
    if not isinstance(value, Local):
        return False
    if value.name in seen:
        return True
    seen.add(value.name)
    made = e.definitions.get(value.name)
    if made is None:
        return value.name.startswith("threadgroup")  # a parameter: see air/wrapper.py
    if made.opcode in ("getelementptr", "freeze", "addrspacecast"):
        return _in_threadgroup_memory(e, made.operands[0], seen)
    if made.opcode in ("phi", "select"):
        ways = made.operands if made.opcode == "phi" else made.operands[1:]
        return all(_in_threadgroup_memory(e, way, seen) for way in ways)
    return False


def _is_used(e: Emitter, i: Instruction) -> bool:
    return any(
        isinstance(o, Local) and o.name == i.name
        for j in e.function.instructions
        for o in j.operands
    )


def _together(e: Emitter, i: Instruction, type_: str) -> None:
    """Without a mask and without results: one lane after another, plainly."""
    values = e.vector(i.operands[1])
    for lane, address in enumerate(gathers.lane_addresses(e, i.operands[0])):
        value = e.let(f"extractelement {wide(type_)} {values}, i64 {lane}")
        old = e.let(f"load {type_}, ptr {address}")
        e.do(f"store {type_} {e.let(f'{i.predicate} {type_} {old}, {value}')}, ptr {address}")


def extract(e: Emitter, i: Instruction) -> None:
    """Part of what a cmpxchg gives."""
    source = i.operands[0]
    name = getattr(source, "name", "")
    if name not in e.known:
        raise NotVectorised("a compare-and-swap result used elsewhere than it is made")
    e.define(i, e.known[f"{name} swapped" if i.indices[0] else name])


def _definition(i: Instruction, name: str, type_: str, own: bool) -> str:
    """`void (ptr addresses, ptr operand…, ptr results, i32 lanes)`."""
    operands = ["a", "b"][: len(i.operands) - 1]
    lines = []
    for k, operand in enumerate(operands):
        lines.append(f"  %at{k} = getelementptr {type_}, ptr %{operand}, i32 %lane")
        lines.append(f"  %v{k} = load {type_}, ptr %at{k}")
    if own and i.predicate in _PLAIN:
        lines.append(f"  %r = load {type_}, ptr %address")
        lines.append(f"  %new = {i.predicate} {type_} %r, %v0")
        lines.append(f"  store {type_} %new, ptr %address")
    elif i.opcode == "atomicrmw":
        lines.append(f"  %r = atomicrmw {i.predicate} ptr %address, {type_} %v0 seq_cst")
    else:
        lines.append(f"  %x = cmpxchg ptr %address, {type_} %v0, {type_} %v1 seq_cst seq_cst")
        lines.append(f"  %r = extractvalue {{ {type_}, i1 }} %x, 0")
    parameters = ", ".join(f"ptr %{p}" for p in ("addresses", *operands, "results"))
    body = "\n".join(lines)
    return f"""define internal void @{name}({parameters}, i32 %lanes) noinline nounwind {{
  br label %next
next:
  %left = phi i32 [ %lanes, %0 ], [ %rest, %one ]
  %done = icmp eq i32 %left, 0
  br i1 %done, label %end, label %one
one:
  %lane = call i32 @llvm.cttz.i32(i32 %left, i1 true)
  %less = sub i32 %left, 1
  %rest = and i32 %left, %less
  %at = getelementptr ptr, ptr %addresses, i32 %lane
  %address = load ptr, ptr %at
{body}
  %to = getelementptr {type_}, ptr %results, i32 %lane
  store {type_} %r, ptr %to
  br label %next
end:
  ret void
}}
"""
