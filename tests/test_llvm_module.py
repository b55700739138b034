"""Modules and their contexts are freed in the right order, whatever the order of finalisers."""

from __future__ import annotations

import gc

import pytest

from pymetal.air.llvm_module import parse_assembly, parse_bitcode

TEXT = """
%pair = type { i32, float }
@table = constant [2 x i32] [i32 1, i32 2]
define i32 @{name}(ptr %p) {{
  %x = load i32, ptr %p
  ret i32 %x
}}
"""


def text(name: str) -> str:
    return TEXT.replace("{name}", name).replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("context_first", [True, False])
def test_a_cycle_of_module_and_context_is_freed_in_any_order(context_first):
    for _ in range(200):
        module = parse_assembly(text("f"))
        parts = [module.context, module] if context_first else [module, module.context]
        parts.append(parts)
        context = module.context
        del module, parts
        gc.collect()
        assert context.closed


def test_a_context_lives_as_long_as_one_of_its_modules():
    first = parse_assembly(text("f"))
    second = parse_assembly(text("g"), beside=first)
    context = first.context
    first.close()
    assert not context.closed
    assert "@g" in str(second)
    second.close()
    assert context.closed


def test_a_module_linked_into_another_lets_go_of_the_context():
    first = parse_assembly(text("f").replace("@table = ", "@table = internal "))
    context = first.context
    first.link_in(parse_assembly(text("g"), beside=first))
    assert "@g" in str(first)
    first.close()
    assert context.closed


def test_what_cannot_be_read_leaves_the_next_unharmed():
    for parse, wrong in ((parse_assembly, "define nonsense"), (parse_bitcode, b"BC\xc0\xdenot")):
        with pytest.raises(RuntimeError, match="error"):
            parse(wrong)
    assert "@f" in str(parse_bitcode(parse_assembly(text("f")).as_bitcode()))


def test_a_context_is_left_to_its_modules_even_when_finalised_before_them():
    module = parse_assembly(text("f"))
    context = module.context
    context.close()
    assert "@f" in str(module)
    module.close()
    assert context.closed
