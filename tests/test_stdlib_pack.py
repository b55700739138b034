"""<metal_pack>: Metal Shading Language Specification, sections 6.14 and 8.7."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import DTYPES, FLOATS, PREAMBLE, Call, compile_calls

import pymetal

# name: bits of each component, lowest bits first; signed; components in RGB order are sRGB.
FORMATS = {
    "unorm4x8": ([8, 8, 8, 8], False),
    "snorm4x8": ([8, 8, 8, 8], True),
    "unorm2x16": ([16, 16], False),
    "snorm2x16": ([16, 16], True),
    "unorm10a2": ([10, 10, 10, 2], False),
    "snorm10a2": ([10, 10, 10, 2], True),
    "unorm565": ([5, 6, 5], False),
}
VALUES = [0, 1, -1, 0.5, -0.5, 0.2, 0.7, 1.5, -2, 1 / 3, 2 / 3, np.inf, -np.inf, np.nan, 1e-3]


def components(name: str) -> int:
    return len(FORMATS[name][0])


def test_every_function_compiles(device):
    every = []
    for t in FLOATS:
        for name in FORMATS:
            integer = "ushort" if name == "unorm565" else "uint"
            vector = f"{t}{components(name)}"
            every.append(Call(integer, f"pack_{t}_to_{name}(a)", (vector,)))
            every.append(Call(vector, f"unpack_{name}_to_{t}(a)", (integer,)))
        every.append(Call("uint", f"pack_{t}_to_srgb_unorm4x8(a)", (f"{t}4",)))
        every.append(Call(f"{t}4", f"unpack_unorm4x8_srgb_to_{t}(a)", ("uint",)))
    compile_calls(every, device)


@pytest.mark.parametrize("name", ["pack_float_to_unorm2x8", "unpack_half_to_float"])
def test_a_function_that_metal_lacks_is_a_compile_error_that_names_it(device, name):
    with pytest.raises(pymetal.CompileError, match=name):
        compile_calls([Call("uint", f"{name}(a)", ("float2",))], device)


def offsets(name: str) -> list[int]:
    """Where each component's bits begin. In 565 red, the first, is on top."""
    bits = FORMATS[name][0]
    if name == "unorm565":
        return [11, 5, 0]
    return [sum(bits[:k]) for k in range(len(bits))]


def packed(name: str, x: np.ndarray) -> np.ndarray:
    """Round to nearest even of the clamped value times the largest integer; NaN is 0."""
    bits, signed = FORMATS[name]
    result = np.zeros(len(x), np.uint64)
    with np.errstate(invalid="ignore"):
        x = np.where(np.isnan(x), 0, x)
    for k, offset in enumerate(offsets(name)):
        top = 2 ** (bits[k] - signed) - 1
        clamped = np.clip(x[:, k], -1 if signed else 0, 1).astype(np.float32)
        whole = np.rint(clamped * np.float32(top)).astype(np.int64)
        result |= (whole & (2 ** bits[k] - 1)).astype(np.uint64) << np.uint64(offset)
    return result


def unpacked(name: str, x: np.ndarray) -> np.ndarray:
    bits, signed = FORMATS[name]
    columns = []
    for k, offset in enumerate(offsets(name)):
        field = (x.astype(np.int64) >> offset) & (2 ** bits[k] - 1)
        top = 2 ** (bits[k] - signed) - 1
        if signed:
            field = np.where(field >> (bits[k] - 1), field - 2 ** bits[k], field)
        columns.append(np.maximum(field.astype(np.float32) / np.float32(top), -1))
    return np.stack(columns, axis=1)


def run(t: str, body: str, inputs: np.ndarray, device: str) -> np.ndarray:
    result = {"uint": "uint", "float": "float", "half": "half"}[t]
    source = (
        PREAMBLE
        + f"""
        kernel void k(device {result}* out [[buffer(0)]],
                      device const {inputs_type(inputs)}* in [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {{ {body} }}"""
    )
    kernel = pymetal.compile(source, device=device).kernel("k")
    return kernel(
        pymetal.output((len(inputs), 4)), inputs, grid=len(inputs), threadgroup=len(inputs)
    )


def inputs_type(inputs: np.ndarray) -> str:
    return next(t for t, dtype in DTYPES.items() if dtype == inputs.dtype)


@pytest.mark.parametrize("t", FLOATS)
def test_packing_clamps_and_rounds_to_even(device, t):
    grid = np.array(np.meshgrid(VALUES, VALUES[::-1], indexing="ij")).reshape(2, -1).T
    x = np.ascontiguousarray(np.concatenate([grid, grid[::-1]], axis=1), DTYPES[t])
    body = ""
    for names in (list(FORMATS)[:4], list(FORMATS)[4:]):
        body = f"device const {t}* p = in + i * 4; {t}4 v = {t}4(p[0], p[1], p[2], p[3]); "
        for k, name in enumerate(names):
            lanes = "xyzw"[: components(name)]
            body += f"out[i * 4 + {k}] = pack_{t}_to_{name}(v.{lanes}); "
        result = run("uint", body, x, device)
        for k, name in enumerate(names):
            expected = packed(name, x.astype(np.float32))
            wrong = np.flatnonzero(result[:, k] != expected)
            assert wrong.size == 0, (name, x[wrong[0]], result[wrong[0], k], expected[wrong[0]])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("t", FLOATS)
def test_unpacking_divides_by_the_largest(device, t, name):
    rng = np.random.default_rng(5)
    top = 2**16 if name == "unorm565" else 2**32
    x = np.concatenate([[0, top - 1, top // 2, top // 2 - 1, 1], rng.integers(0, top, 200)])
    x = x.astype(np.uint32)
    n = components(name)
    body = f"{t}{n} v = unpack_{name}_to_{t}(in[i]); "
    body += " ".join(f"out[i * 4 + {k}] = v[{k}];" for k in range(n))
    result = run(t, body, x, device)[:, :n]
    assert (result == unpacked(name, x).astype(DTYPES[t])).all()


@pytest.mark.parametrize("t", FLOATS)
def test_srgb_converts_colour_but_not_alpha(device, t):
    x = np.arange(256, dtype=np.uint32) * 0x01010101
    body = f"{t}4 v = unpack_unorm4x8_srgb_to_{t}(in[i]); "
    body += " ".join(f"out[i * 4 + {k}] = v[{k}];" for k in range(4))
    result = run(t, body, x, device).astype(np.float64)
    c = np.arange(256) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    # pow is good to 16 ULP; half rounds once.
    bound = 20 * 2.0**-24 if t == "float" else 2.0**-11
    assert (np.abs(result[:, :3] - linear[:, None]) <= bound * linear[:, None] + 2.0**-25).all()
    assert (result[:, 3] == c.astype(DTYPES[t])).all()

    # Packing the linear values gives the integers back.
    numbers = np.stack([linear, linear, linear, c], axis=1).astype(DTYPES[t])
    body = f"device const {t}* p = in + i * 4; "
    body += f"out[i * 4] = pack_{t}_to_srgb_unorm4x8({t}4(p[0], p[1], p[2], p[3]));"
    result = run("uint", body, numbers, device)[:, 0]
    assert (result == x).all()
