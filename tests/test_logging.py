"""What kernels log reaches Python's logging: `os_log` of <metal_logging>."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import pymetal
from pymetal.logs import formatted

HEADER = "#include <metal_stdlib>\n#include <metal_logging>\nusing namespace metal;\n"


def compile_body(body: str, **options):
    source = f"""{HEADER}
    constant os_log logger("org.example", "tests");
    kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
      out[i] = i;
      {body}
    }}"""
    return pymetal.compile(source, device="cpu", enable_logging=True, **options)["k"]


@pytest.fixture
def log(caplog):
    with caplog.at_level(logging.DEBUG, "pymetal.kernel"):
        yield caplog


def test_a_message_says_kernel_thread_and_values(log) -> None:
    kernel = compile_body('if (i == 5) logger.log_error("out[%u] is %.2f, %s%d%%", i, out[i], -7);')
    kernel(pymetal.output(8), grid=8, threadgroup=8)
    (record,) = log.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "k (5, 0, 0): out[5] is 5.00, %s-7%"
    assert (record.kernel, record.thread_position_in_grid) == ("k", (5, 0, 0))
    assert (record.subsystem, record.category) == ("org.example", "tests")


@pytest.mark.parametrize(
    ("call", "level"),
    [
        ("log_debug", logging.DEBUG),
        ("log_info", logging.INFO),
        ("log", logging.INFO),
        ("log_error", logging.ERROR),
        ("log_fault", logging.CRITICAL),
    ],
)
def test_levels(log, call: str, level: int) -> None:
    compile_body(f'if (i == 0) logger.{call}("hello");')(pymetal.output(4), grid=4, threadgroup=4)
    assert [r.levelno for r in log.records] == [level]


def test_vectors_and_every_type(log) -> None:
    kernel = compile_body(
        """if (i == 1) {
             logger.log_info("%v4f %v2d %v3x", float4(1, 2, 3.5, 4), int2(-1, 2),
                             uint3(255, 16, 1));
             logger.log_info("%hd %ld %lu %g %g", short(-3), long(-5), ulong(1) << 40, half(0.5),
                             bfloat(2));
             os_log_default.log_info("%c%c %5d|%-5d|%05.1f %e", 'o', 'k', 42, 42, 2.25f, 1e10f);
           }"""
    )
    kernel(pymetal.output(2), grid=2, threadgroup=2)
    assert [r.getMessage().partition(": ")[2] for r in log.records] == [
        "1.000000,2.000000,3.500000,4.000000 -1,2 ff,10,1",
        "-3 -5 1099511627776 0.5 2",
        "ok    42|42   |002.2 1.000000e+10",
    ]


def test_messages_beyond_the_bound_are_counted(log) -> None:
    kernel = compile_body('logger.log_info("thread %u", i);')
    out = kernel(pymetal.output(10_000), grid=10_000, threadgroup=1000)
    np.testing.assert_array_equal(out, np.arange(10_000, dtype=np.float32))
    kept = [r for r in log.records if r.levelno == logging.INFO]
    (warning,) = (r for r in log.records if r.levelno == logging.WARNING)
    assert len(kept) == 4096
    assert warning.dropped == 10_000 - 4096
    assert sorted(r.thread_position_in_grid[0] for r in kept) == sorted(
        {r.thread_position_in_grid[0] for r in kept}
    )


def test_without_enable_logging_calls_cost_nothing(log) -> None:
    source = f"""{HEADER}
    kernel void k(device float* out [[buffer(0)]]) {{
      os_log_default.log_error("never seen"); out[0] = 1;
    }}"""
    kernel = pymetal.compile(source, device="cpu")["k"]
    assert kernel(pymetal.output(1), grid=1, threadgroup=1) == np.float32([1])
    assert log.records == []


def test_a_launch_that_faults_still_says_what_it_logged(log) -> None:
    kernel = compile_body(
        'logger.log_info("before"); if (i == 0) threadgroup_barrier(mem_flags::mem_threadgroup);'
    )
    with pytest.raises(pymetal.KernelFault):
        kernel(pymetal.output(2), grid=2, threadgroup=2)
    assert "before" in log.records[0].getMessage()


def test_a_format_without_its_arguments_is_shown_so() -> None:
    assert formatted("%d and %v4f", [0 | 1 << 8, 3]) == "3 and <?>"
