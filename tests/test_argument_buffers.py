"""Argument buffers: pointers inside buffers, given as arrays inside dicts and lists."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
import pytest
from metal_calls import only_on_the_software_device

import pymetal
from pymetal.air.module import Module
from pymetal.errors import ArgumentError

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
STRUCT = """
struct Inner { device float* p; int k; };
struct Args {
    device float* x [[id(0)]];
    const device float* y;
    constant float4* z;
    uint n [[id(7)]];
    array<const device float*, 4> parts;
    device int* list[3];
    Inner inner;
    array<float, 3> w;
};
"""
KERNEL = f"""{HEADER}{STRUCT}
kernel void k(constant Args& args [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
    if (i >= args.n) return;
    args.x[i] = args.y[i] + args.z[1].w + args.parts[i & 3][0] + args.list[2][0]
        + args.inner.p[i] * args.inner.k + args.w[1];
}}"""


@pytest.fixture(params=["reference", "vectorised"])
def engine(request, monkeypatch, device):
    only_on_the_software_device(device)
    monkeypatch.setenv("PYMETAL_ENGINE", request.param)
    return device


def values(n: int) -> dict:
    return {
        "x": np.zeros(n, np.float32),
        "y": np.arange(n, dtype=np.float32),
        "z": np.float32([[0, 0, 0, 0], [0, 0, 0, 7]]),
        "n": n,
        "parts": [np.float32([10 * i]) for i in range(4)],
        "list": [np.int32([100 * i]) for i in range(3)],
        "inner": {"p": np.full(n, 2, np.float32), "k": -3},
        "w": [0, 1000, 0],
    }


def test_a_struct_of_pointers_takes_a_dict_of_arrays(engine):
    kernel = pymetal.compile(KERNEL, device=engine).kernel("k")
    args = values(50)
    for _ in range(2):  # the second call is warm where calls are
        kernel(args, grid=64, threadgroup=32)
    i = np.arange(50)
    np.testing.assert_array_equal(args["x"], i + 7 + 10 * (i & 3) + 200 - 6 + 1000)


def test_a_list_of_dicts_is_an_array_of_structs(engine):
    source = f"""{HEADER}struct S {{ device float* out; float scale; }};
    kernel void k(constant S* all [[buffer(0)]], uint2 i [[thread_position_in_grid]]) {{
        all[i.y].out[i.x] = all[i.y].scale * i.x;
    }}"""
    kernel = pymetal.compile(source, device=engine).kernel("k")
    outs = [np.zeros(8, np.float32) for _ in range(3)]
    kernel([{"out": o, "scale": s} for s, o in enumerate(outs)], grid=(8, 3), threadgroup=(8, 1))
    for scale, out in enumerate(outs):
        np.testing.assert_array_equal(out, scale * np.arange(8))


def test_a_pointer_to_pointers_takes_a_list_of_arrays(engine):
    source = f"""{HEADER}
    kernel void k(const device float* const device* parts [[buffer(0)]],
                  device float* constant* outs [[buffer(1)]], constant uint& n [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {{
        float sum = 0;
        for (uint k = 0; k < n; k++) sum += parts[k][i];
        outs[i & 1][i / 2] = sum;
    }}"""
    kernel = pymetal.compile(source, device=engine).kernel("k")
    assert "device const float* const device* parts [[buffer(0)]]" in str(kernel)
    assert "device float* constant* outs [[buffer(1)]]" in str(kernel)
    parts = [np.arange(8, dtype=np.float32) * 10**k for k in range(3)]
    even, odd = np.zeros(4, np.float32), np.zeros(4, np.float32)
    kernel(parts, (even, odd), 3, grid=8, threadgroup=8)
    np.testing.assert_array_equal(even, np.arange(0, 8, 2) * 111)
    np.testing.assert_array_equal(odd, np.arange(1, 8, 2) * 111)


def test_what_a_pointer_reaches_is_checked_like_an_argument(device):
    only_on_the_software_device(device)
    kernel = pymetal.compile(KERNEL, device=device).kernel("k")

    def refused(match: str, **changed) -> None:
        with pytest.raises(ArgumentError, match=match):
            kernel({**values(8), **changed}, grid=8, threadgroup=8)

    refused(r"field 'y': got an array of float64; .*np\.float32", y=np.zeros(8))
    refused("field 'x': the kernel writes it, but the array is read-only", x=np.broadcast_to(
        np.float32(0), 1))  # fmt: skip
    refused("field 'y': the array is not C-contiguous", y=np.zeros(16, np.float32)[::2])
    refused("field 'y': is a pointer: pass a NumPy array, got int 5", y=5)
    refused("field 'parts': takes 4 values, got 1", parts=[np.zeros(1, np.float32)])
    refused("field 'inner': field 'p': is a pointer", inner={"p": None, "k": 1})
    refused("field 'z': .*not a whole number of float4", z=np.zeros(3, np.float32))
    shared = np.zeros(16, np.float32)
    refused("overlap", x=shared[:8], y=shared[4:12])
    with pytest.raises(ArgumentError, match="lacks y, z"):
        kernel({"x": shared}, grid=8, threadgroup=8)


def test_a_pointer_past_its_array_is_a_fault_that_names_it(device):
    only_on_the_software_device(device)
    source = f"""{HEADER}struct S {{ device float* out; }};
    kernel void k(constant S& s [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
        s.out[i + (1 << 22)] = 1;
    }}"""
    kernel = pymetal.compile(source, device=device).kernel("k")
    with pytest.raises(pymetal.KernelFault, match=r"'s\.out'"):
        kernel({"out": pymetal.zeros(1 << 20, np.float32)}, grid=32, threadgroup=32)


def test_a_checked_launch_runs_with_argument_buffers(device):
    only_on_the_software_device(device)
    kernel = pymetal.compile(KERNEL, device=device).kernel("k")
    args = values(8)
    kernel(args, grid=8, threadgroup=8, check=True)
    assert args["x"][0] == 1201


# A struct `Args { constant long* at; uint n; }` as Apple's compiler describes it.
APPLE = """
define void @k(ptr addrspace(2) %args) {
  ret void
}
!air.kernel = !{!0}
!0 = !{ptr @k, !1, !2}
!1 = !{}
!2 = !{!3}
!3 = !{i32 0, !"air.indirect_buffer", !"air.location_index", i32 2, i32 1, !"air.read",
  !"air.address_space", i32 2, !"air.struct_type_info", !4, !"air.arg_type_size", i32 16,
  !"air.arg_type_align_size", i32 8, !"air.arg_type_name", !"Args", !"air.arg_name", !"args"}
!4 = !{i32 0, i32 8, i32 0, !"long", !"at", !"air.indirect_argument", !5,
  i32 8, i32 4, i32 0, !"uint", !"n", !"air.indirect_argument", !6}
!5 = !{i32 0, !"air.buffer", !"air.location_index", i32 0, i32 1, !"air.read",
  !"air.address_space", i32 2, !"air.arg_type_size", i32 8, !"air.arg_type_align_size", i32 8,
  !"air.arg_type_name", !"long", !"air.arg_name", !"at"}
!6 = !{i32 1, !"air.indirect_constant", !"air.location_index", i32 1, i32 1,
  !"air.arg_type_name", !"uint", !"air.arg_name", !"n"}
"""


def test_what_apples_compiler_says_of_argument_buffers_is_read() -> None:
    module = Module(llvm.parse_assembly(APPLE, context=llvm.create_context()).as_bitcode(), "test")
    (argument,) = module.function("k").arguments
    assert (argument.kind, argument.index, argument.holds_pointers) == ("buffer", 2, True)
    at, n = argument.fields
    assert (n.name, n.type_name, n.offset, n.points_to) == ("n", "uint", 8, None)
    assert at.points_to is not None
    assert str(at.points_to) == "constant long* at [[buffer(0)]]"


def test_pointers_to_structs_take_structured_arrays(engine):
    source = f"""{HEADER}
    struct Point {{ float4 v; int n; }};
    struct Args {{ const device Point* p [[id(0)]], *q; device float* out; Point inside; }};
    kernel void k(constant Args& a, uint i [[thread_position_in_grid]]) {{
        a.out[i] = a.p[i].v.y + a.q[i].n + a.inside.n;
    }}"""
    layout = {"names": ["v", "n"], "formats": [("f4", 4), "i4"], "offsets": [0, 16]}
    points = np.zeros(3, np.dtype({**layout, "itemsize": 32}))
    points["v"] = np.arange(12).reshape(3, 4)
    points["n"] = [10, 20, 30]
    out = np.zeros(3, np.float32)
    args = {"p": points, "q": points, "out": out, "inside": {"v": [0] * 4, "n": 100}}
    pymetal.compile(source, device=engine).kernel("k")(args, grid=3, threadgroup=1)
    np.testing.assert_array_equal(out, [111, 125, 139])
