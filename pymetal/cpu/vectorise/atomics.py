"""Atomic operations, one active lane after another in the lanes' order."""

from __future__ import annotations

from pymetal.air.ir import Instruction
from pymetal.cpu.vectorise.emitter import Emitter, wide
from pymetal.cpu.vectorise.reasons import NotVectorised


def lower(e: Emitter, i: Instruction) -> None:
    """An atomicrmw or cmpxchg: a helper loops over lanes whose operands wait on the stack."""
    value_type = e.type_text(i.operands[1].type)
    helper = f"each.{i.opcode}.{i.predicate or 'x'}.{value_type}"
    if helper not in e.helpers.definitions:
        e.helpers.definitions[helper] = _definition(i, helper, value_type)
    arguments = []
    for operand in i.operands:
        type_ = wide(e.type_text(operand.type))
        memory = e.stack(type_)
        e.do(f"store {type_} {e.vector(operand)}, ptr {memory}")
        arguments.append(f"ptr {memory}")
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


def extract(e: Emitter, i: Instruction) -> None:
    """Part of what a cmpxchg gives."""
    source = i.operands[0]
    name = getattr(source, "name", "")
    if name not in e.known:
        raise NotVectorised("a compare-and-swap result used elsewhere than it is made")
    e.define(i, e.known[f"{name} swapped" if i.indices[0] else name])


def _definition(i: Instruction, name: str, type_: str) -> str:
    """`void (ptr addresses, ptr operand…, ptr results, i32 lanes)`."""
    operands = ["a", "b"][: len(i.operands) - 1]
    lines = []
    for k, operand in enumerate(operands):
        lines.append(f"  %at{k} = getelementptr {type_}, ptr %{operand}, i32 %lane")
        lines.append(f"  %v{k} = load {type_}, ptr %at{k}")
    if i.opcode == "atomicrmw":
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
