"""Metal that real kernels write, each reduced to the least that shows it."""

from __future__ import annotations

import numpy as np
import pytest
from metal_calls import only_on_the_software_device

import pymetal


def test_function_constants_that_no_kernel_reads_may_stay_unset(device: str) -> None:
    source = """
    constant int used [[function_constant(0)]];
    constant int unused [[function_constant(1)]];
    kernel void k(device int* out [[buffer(0)]]) { out[0] = used; }
    """
    kernel = pymetal.compile(source, device=device).kernel("k", {"used": 7})
    assert kernel(pymetal.output(1), grid=1, threadgroup=1) == np.int32([7])


def test_a_barrier_without_memory_flags_does_not_wait_for_finished_threads(device: str) -> None:
    """MLX's gemv synchronises with the first lane of each simdgroup only."""
    source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void k(device float* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]],
                  uint group [[simdgroup_index_in_threadgroup]]) {
      threadgroup float partial[4];
      if (lane == 0) {
        partial[group] = group + 1;
        threadgroup_barrier(mem_flags::mem_none);
        if (group == 0) out[0] = partial[0] + partial[1] + partial[2] + partial[3];
      }
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    assert kernel(pymetal.output(1), grid=128, threadgroup=128) == np.float32([10])


def test_a_constant_that_only_switches_arguments_switches_them_off(device: str) -> None:
    source = """
    constant bool with_bias [[function_constant(0)]];
    constant bool with_mask [[function_constant(1)]];
    kernel void k(device float* out [[buffer(0)]],
                  constant float& bias [[buffer(1), function_constant(with_bias)]],
                  constant bool& mask [[buffer(2), function_constant(with_mask)]]) {
      out[0] = with_mask ? bias + mask : 1;
    }
    """
    kernel = pymetal.compile(source, device=device).kernel("k", {0: False, 1: False})
    assert [a.name for a in kernel.arguments] == ["out"]
    assert kernel(pymetal.output(1), grid=1, threadgroup=1) == np.float32([1])


def test_elements_of_bool_vectors_in_templates_are_written_by_index(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    template <typename T, int N>
    struct Row {
      typedef vec<T, N> type;
      static void fill(thread type& v, int n) {
        for (int i = 0; i < N; i++) v[i] = T(i < n);
      }
    };
    kernel void k(device int* out [[buffer(0)]], constant int& n [[buffer(1)]]) {
      Row<bool, 2>::type v;
      Row<bool, 2>::fill(v, n);
      out[0] = v[0] + 10 * v[1];
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    got = [kernel(pymetal.output(1), n, grid=1, threadgroup=1)[0] for n in (0, 1, 2)]
    assert got == [0, 1, 11]


def test_decltype_behind_typename_is_no_type_of_that_name(device: str) -> None:
    source = """
    struct Box { typedef float type; };
    template <typename T> T twice(T x) { return x + x; }
    kernel void k(device float* out [[buffer(0)]]) {
      Box box;
      float x = 3;
      decltype(x) y = twice<typename decltype(box)::type>(x);
      out[0] = static_cast<decltype(y)>(y);
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    assert kernel(pymetal.output(1), grid=1, threadgroup=1) == np.float32([6])


def test_a_conversion_that_is_not_const_serves_functional_and_other_casts(device: str) -> None:
    """MLX's 8-bit floats convert by such operators, in templates that construct any type."""
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Halves { uchar n; operator float() thread { return n * 0.5f; } };
    template <typename T> T read(uchar n) { return T(*(thread Halves*)(&n)); }
    template <typename T> T cast(uchar n) { Halves x = {n}; return (T)x + static_cast<T>(x); }
    kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
      out[i] = read<float>(i) + 100 * cast<float>(i);
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    expected = np.arange(8, dtype=np.float32) * 100.5
    np.testing.assert_array_equal(kernel(pymetal.output(8), grid=8, threadgroup=8), expected)


def test_lists_in_braces_are_assigned_and_walked_through(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Sum {
      float total = 0;
      thread Sum& operator=(initializer_list<float2> list) thread {
        for (auto v : list) total += v.y;
        total += 100 * list.size();
        return *this;
      }
    };
    kernel void k(device float* out [[buffer(0)]]) {
      Sum sum;
      sum = {float2(1, 2), float2(3, 4), float2(5, 6)};
      out[0] = sum.total;
    }
    """
    got = pymetal.compile(source, device=device)["k"](pymetal.output(1), grid=1, threadgroup=1)
    assert got[0] == 312


def test_variables_may_be_vectors_computed_from_function_constants(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    constant uint given [[function_constant(0)]];
    constant uint width = is_function_constant_defined(given) ? given : 5u;
    constant uint3 size = uint3(width, 2u, width + 1);
    constant float4 scale = float4(float2(size.xz), float2(0.5));
    constant int shifted = int(scale.x * 2.0f) << 1;
    struct Tile { uint3 size; float4 scale; };
    kernel void k(device float* out [[buffer(0)]]) {
      out[0] = size.x * 100 + size.y * 10 + size.z;
      out[1] = scale.x + scale.y * scale.z + shifted;
    }
    """
    library = pymetal.compile(source, device=device)
    for constants, expected in (({"given": 3}, [324, 17]), (None, [526, 28])):
        kernel = library.kernel("k", constants=constants)
        for check in (False, True) if device == "cpu" else (False,):
            got = kernel(pymetal.output(2), grid=1, threadgroup=1, check=check)
            np.testing.assert_array_equal(got, np.float32(expected))


def test_constants_computed_from_others_choose_between_arguments_of_one_index(
    device: str,
) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    constant bool wide [[function_constant(0)]];
    constant bool narrow = !wide;
    struct Drawn { float4 color [[color(0), function_constant(wide)]]; };
    kernel void k(device float* out [[buffer(0)]],
                  device const uchar* bytes [[buffer(1), function_constant(narrow)]],
                  device const ushort* shorts [[buffer(1), function_constant(wide)]],
                  uint i [[thread_position_in_grid]]) {
      if (wide) out[i] = shorts[i];
      else out[i] = bytes[i] * 10;
    }
    """
    library = pymetal.compile(source, device=device)
    for wide, dtype, expected in ((True, np.uint16, [7, 8]), (False, np.uint8, [70, 80])):
        kernel = library.kernel("k", constants={"wide": wide})
        got = kernel(pymetal.output(2), np.array([7, 8], dtype), grid=2, threadgroup=2)
        np.testing.assert_array_equal(got, np.float32(expected))


def test_functions_named_as_the_librarys_overload_them(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    inline float min(float3 v) { return min(min(v.x, v.y), v.z); }
    inline float2 pow(float2 v, float n) { return float2(pow(v.x, n), pow(v.y, n)); }
    kernel void k(device float* out [[buffer(0)]]) {
      out[0] = min(float3(3, 1, 2));
      out[1] = pow(float2(3, 4), 2.0f).y;
    }
    """
    got = pymetal.compile(source, device=device)["k"](pymetal.output(2), grid=1, threadgroup=1)
    np.testing.assert_allclose(got, np.float32([1, 16]), rtol=1e-6)  # pow: 16 ULP


def test_enumerations_shared_with_the_host_give_buffer_indices(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    #define NS_ENUM(_type, _name) enum _name : _type _name; enum _name : _type
    #define NSInteger metal::int32_t
    typedef NS_ENUM(NSInteger, BufferIndex) { BufferIndexOut = 0, BufferIndexIn = 3 };
    kernel void k(device float* out [[buffer(BufferIndexOut)]],
                  device const float* in [[buffer(BufferIndexIn)]]) {
      BufferIndex last = BufferIndexIn;
      out[0] = in[0] + last;
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    assert [a.index for a in kernel.arguments] == [0, 3]
    assert kernel(pymetal.output(1), np.float32([4]), grid=1, threadgroup=1)[0] == 7


def test_empty_braces_leave_threadgroup_variables_zero(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Shared { atomic_uint n; array<float, 4> values; };
    kernel void k(device float* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
      threadgroup Shared shared{{}};
      threadgroup Shared more[2]{{}, {}};
      atomic_fetch_add_explicit(&shared.n, 1, memory_order_relaxed);
      more[1].values[i] = i;
      threadgroup_barrier(mem_flags::mem_device_and_threadgroup);
      out[i] = atomic_load_explicit(&shared.n, memory_order_relaxed) + more[1].values[3 - i];
    }
    """
    got = pymetal.compile(source, device=device)["k"](pymetal.output(4), grid=4, threadgroup=4)
    np.testing.assert_array_equal(got, np.float32([7, 6, 5, 4]))


def test_kernels_write_arguments_of_indirect_draws_and_tessellation(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    static_assert(sizeof(MTLDrawIndexedPrimitivesIndirectArguments) == 20, "");
    static_assert(sizeof(MTLQuadTessellationFactorsHalf) == 12, "");
    kernel void k(device MTLDrawPrimitivesIndirectArguments* draw [[buffer(0)]],
                  device MTLTriangleTessellationFactorsHalf* factors [[buffer(1)]],
                  device MTLDispatchThreadgroupsIndirectArguments& groups [[buffer(2)]]) {
      draw->vertexCount = 3;
      draw->instanceCount = 2;
      factors->insideTessellationFactor = factors->edgeTessellationFactor[2] = 4.0h;
      groups.threadgroupsPerGrid[1] = 9;
    }
    """
    draw, factors = np.zeros(4, np.uint32), np.zeros(4, np.float16)
    groups = np.zeros(3, np.uint32)
    kernel = pymetal.compile(source, device=device)["k"]
    kernel(draw.view(np.uint8), factors.view(np.uint8), groups.view(np.uint8), grid=1)
    assert (draw.tolist(), factors.tolist()) == ([3, 2, 0, 0], [0, 0, 4, 4])
    assert groups.tolist() == [0, 9, 0]


def test_inputs_may_be_variables_at_program_scope(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    const uint position [[thread_position_in_grid]];
    namespace tile {
    uint3 place [[thread_position_in_threadgroup]];
    static const ushort lane [[thread_index_in_simdgroup]];
    uint mixed(uint x) { return x + place.x * 10 + lane * 100; }
    }
    template <typename T>
    [[kernel]] void k(device T* out [[buffer(0)]], uint3 size [[threads_per_grid]]) {
      threadgroup uint shared[4];
      shared[tile::place.x] = position;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      out[position] = tile::mixed(shared[3 - tile::place.x]) + size.x * 1000;
    }
    template [[host_name("k_uint")]] [[kernel]]
    void k<uint>(device uint* out [[buffer(0)]], uint3 size [[threads_per_grid]]);
    """
    kernel = pymetal.compile(source, device=device)["k_uint"]
    place = np.arange(8) % 4
    expected = (np.arange(8) // 4 * 4 + 3 - place) + place * 110 + 8000
    for check in (False, True) if device == "cpu" else (False,):
        got = kernel(pymetal.output(8), grid=8, threadgroup=4, check=check)
        np.testing.assert_array_equal(got, expected)


def test_what_program_scope_inputs_cannot_be_is_said(device: str) -> None:
    head = "#include <metal_stdlib>\nusing namespace metal;\n"
    kernel = "kernel void k(device uint* out [[buffer(0)]]) { out[0] = x[0]; }"
    with pytest.raises(
        pymetal.CompileError, match=r"'x' \[\[thread_position_in_grid\]\] is 'int2'"
    ):
        pymetal.compile(f"{head}int2 x [[thread_position_in_grid]];\n{kernel}", device=device)
    only_on_the_software_device(device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        pymetal.compile(f"{head}device uint* x [[buffer(1)]];\n{kernel}", device=device)
    assert caught.value.feature == "program-scope bindings"


def test_an_array_of_one_at_the_end_of_a_buffer_may_go_on(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Counted { uint n; float data[1]; };
    kernel void k(device float* out [[buffer(0)]], device const Counted& in [[buffer(1)]],
                  device const Counted* same [[buffer(2)]], uint i [[thread_position_in_grid]]) {
      if (i < in.n) out[i] = in.data[i] + same->data[i];
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    counted = np.zeros(6, np.float32)
    counted.view(np.uint32)[0] = 5
    counted[1:] = [1, 2, 3, 4, 5]
    raw = counted.view(np.uint8)
    for _ in range(2):  # the second call is warm where calls are
        got = kernel(pymetal.output(8, np.float32), raw, raw, grid=8, threadgroup=8)
        np.testing.assert_array_equal(got, np.float32([2, 4, 6, 8, 10, 0, 0, 0]))
    with pytest.raises(pymetal.ArgumentError, match="got 4 bytes; one Counted has 8"):
        kernel(pymetal.output(8, np.float32), raw[:4].copy(), raw, grid=8, threadgroup=8)


def test_a_reference_to_an_array_of_one_may_go_on(device: str) -> None:
    if device == "metal":
        pytest.skip("Metal's reflection does not tell of such an array")
    source = """
    typedef float Rest[1];
    kernel void k(device Rest& out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
      out[i] = i;
    }
    """
    kernel = pymetal.compile(source, device=device)["k"]
    got = kernel(pymetal.output(8, np.float32), grid=8, threadgroup=8)
    np.testing.assert_array_equal(got, np.arange(8, dtype=np.float32))


def test_qualifiers_that_mean_nothing_here_may_stand_in_parameters(device: str) -> None:
    source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void k(volatile coherent(system) device uint* out [[buffer(0)]],
                  device const uint* restrict in [[buffer(1)]],
                  coherent(device) device const uint* __restrict more [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {
      device const uint* restrict local = in + i;
      out[i] = local[0] + more[i];
    }
    """
    x = np.arange(4, dtype=np.uint32)
    kernel = pymetal.compile(source, device=device)["k"]
    np.testing.assert_array_equal(kernel(pymetal.output(4), x, x * 10, grid=4), x * 11)
