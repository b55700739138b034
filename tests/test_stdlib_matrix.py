"""Matrices and <metal_matrix>: Metal Shading Language Specification, sections 2.3 and 6.6."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import DTYPES, PREAMBLE, Call, compile_calls
from tolerance import gamma, unit_roundoff

import pymetal

TYPES = ("float", "half")
SIZES = [(c, r) for c in (2, 3, 4) for r in (2, 3, 4)]


def test_every_constructor_and_operator_compiles(device):
    every = []
    for t in TYPES:
        other = "half" if t == "float" else "float"
        for c, r in SIZES:
            m, column, row = f"{t}{c}x{r}", f"{t}{r}", f"{t}{c}"
            columns = ", ".join([f"{column}(a)"] * c)
            elements = ", ".join(["a"] * (c * r))
            every += [
                Call(m, f"{m}(a)", (t,)),
                Call(m, f"{m}({columns})", (t,)),
                Call(m, f"{m}({elements})", (t,)),
                Call(m, f"{m}(a)", (f"{other}{c}x{r}",)),
                Call(m, "-a + a - a * b + b * a", (m, t)),
                Call("bool", "a == b || a != b", (m, m)),
                Call(column, "a * b", (m, row)),
                Call(row, "b * a", (m, column)),
                Call(column, "a[0]", (m,)),
                Call(t, "a[1][1]", (m,)),
                Call(t, "a.columns[0].x", (m,)),
                Call(f"{t}{r}x{c}", "transpose(a)", (m,)),
                Call(f"matrix<{t}, {c}, {r}>", "a", (m,)),
            ]
            for k in (2, 3, 4):
                every.append(Call(f"{t}{k}x{r}", "a * b", (m, f"{t}{k}x{c}")))
            if c == r:
                every.append(Call(t, "determinant(a)", (m,)))
    compile_calls(every, device)


@pytest.mark.parametrize(
    "call",
    [
        "float2x2(1, 2, 3)",
        "float3x3(float2x2(1))",
        "float2x3(1) * float2x3(1)",
        "determinant(float2x3(1))",
        "inverse(float2x2(1))",
    ],
)
def test_wrong_shapes_and_missing_functions_are_compile_errors(device, call):
    with pytest.raises(pymetal.CompileError):
        compile_calls([Call("float", f"({call})[0][0]")], device)


def run(t: str, body: str, inputs: np.ndarray, results: int, device: str) -> np.ndarray:
    """`body` reads `p`, this thread's numbers, and puts `results` numbers with `put(x)`."""
    source = (
        PREAMBLE
        + f"""
        kernel void k(device {t}* out [[buffer(0)]], device const {t}* in [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {{
            device const {t}* p = in + i * {inputs.shape[1]};
            device {t}* o = out + i * {results};
            {body}
        }}"""
    )
    kernel = pymetal.compile(source, device=device).kernel("k")
    count = len(inputs)
    return kernel(pymetal.output((count, results)), inputs, grid=count, threadgroup=count)


def load(name: str, t: str, c: int, r: int, at: int = 0) -> str:
    numbers = ", ".join(f"p[{at + k}]" for k in range(c * r))
    return f"{t}{c}x{r} {name} = {t}{c}x{r}({numbers}); "


def store(name: str, c: int, r: int, at: int = 0) -> str:
    return " ".join(f"o[{at + k}] = {name}[{k // r}][{k % r}];" for k in range(c * r))


@pytest.mark.parametrize(("c", "r"), SIZES)
def test_a_matrix_is_made_column_by_column(device, c, r):
    x = np.arange(2 * c * r, dtype=np.float32).reshape(2, -1)
    result = run("float", load("m", "float", c, r) + store("m", c, r), x, c * r, device)
    assert (result == x).all()
    columns = ", ".join(
        f"float{r}({', '.join(f'p[{j * r + k}]' for k in range(r))})" for j in range(c)
    )
    by_columns = f"float{c}x{r} m = float{c}x{r}({columns}); " + store("m", c, r)
    assert (run("float", by_columns, x, c * r, device) == x).all()
    diagonal = run("float", f"float{c}x{r} m(p[1]); " + store("m", c, r), x, c * r, device)
    assert (diagonal[0].reshape(c, r) == np.eye(c, r)).all()


@pytest.mark.parametrize("t", TYPES)
@pytest.mark.parametrize(("c", "r"), SIZES)
def test_products_agree_with_float64(device, t, c, r):
    k = 6 - max(c, r) if max(c, r) < 4 else 3  # columns of the second factor
    rng = np.random.default_rng(c * 10 + r)
    x = rng.uniform(-1, 1, (20, c * r + k * c + c + r)).astype(DTYPES[t])
    first, second = c * r, c * r + k * c
    vector = ", ".join(f"p[{second + j}]" for j in range(c))
    covector = ", ".join(f"p[{second + c + j}]" for j in range(r))
    body = (
        load("a", t, c, r)
        + load("b", t, k, c, first)
        + f"{t}{k}x{r} product = a * b; {t}{r} v = a * {t}{c}({vector}); "
        + f"{t}{c} w = {t}{r}({covector}) * a; "
        + store("product", k, r)
        + " ".join(f"o[{k * r + j}] = v[{j}];" for j in range(r))
        + " ".join(f"o[{k * r + r + j}] = w[{j}];" for j in range(c))
    )
    result = run(t, body, x, k * r + r + c, device).astype(np.float64)
    X = x.astype(np.float64)  # noqa: N806
    a = X[:, :first].reshape(-1, c, r).transpose(0, 2, 1)  # as rows and columns
    b = X[:, first:second].reshape(-1, k, c).transpose(0, 2, 1)
    v, w = X[:, second : second + c], X[:, second + c :]
    exact = np.concatenate(
        [
            (a @ b).transpose(0, 2, 1).reshape(20, -1),
            np.einsum("nij,nj->ni", a, v),
            np.einsum("ni,nij->nj", w, a),
        ],
        axis=1,
    )
    # Sums of at most four products of numbers up to 1, each rounded in t.
    bound = gamma(4) * 4 * unit_roundoff(DTYPES[t]) / unit_roundoff(np.float32)
    assert (np.abs(result - exact) <= bound).all()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_transpose_determinant_and_arithmetic(device, n):
    rng = np.random.default_rng(n)
    x = rng.uniform(-1, 1, (16, n * n)).astype(np.float32)
    size = n * n
    body = (
        load("m", "float", n, n)
        + f"float{n}x{n} t = transpose(m); "
        + f"float{n}x{n} s = m + t * 2.0 - m; s += t; s -= t; s *= 0.5f; "
        + f"float{n}x{n} q = m; q *= t; "
        + store("t", n, n)
        + store("s", n, n, size)
        + f"o[{2 * size}] = determinant(m); o[{2 * size + 1}] = m == t ? 1.0 : 0.0; "
        + store("q", n, n, 2 * size + 2)
    )
    result = run("float", body, x, 3 * size + 2, device).astype(np.float64)
    m = x.astype(np.float64).reshape(-1, n, n)  # m[i] is column i
    transposed = m.transpose(0, 2, 1)
    assert (result[:, :size].reshape(-1, n, n) == transposed).all()
    assert np.allclose(result[:, size : 2 * size].reshape(-1, n, n), transposed, atol=1e-6)
    # Cofactors: n! products of n numbers up to 1, each a few roundings deep.
    assert np.allclose(result[:, 2 * size], np.linalg.det(m), rtol=0, atol=24 * gamma(2 * n))
    assert (result[:, 2 * size + 1] == 0).all()
    product = np.einsum("nkr,nck->ncr", m, transposed)
    assert np.allclose(
        result[:, 2 * size + 2 :].reshape(-1, n, n), product, rtol=0, atol=gamma(n) * n
    )


def test_half_and_float_matrices_convert(device):
    x = np.array([[1.0, 2.5, -3.25, 1 / 3]], np.float32)
    body = load("m", "float", 2, 2) + "float2x2 r = float2x2(half2x2(m)); " + store("r", 2, 2)
    assert (run("float", body, x, 4, device) == x.astype(np.float16).astype(np.float32)).all()
