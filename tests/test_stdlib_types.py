"""<metal_limits>, <metal_type_traits>, <metal_array>, <metal_uniform>, <metal_compute>,
<metal_logging> and the headers themselves."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from metal_calls import (
    DTYPES,
    INTEGERS,
    PREAMBLE,
    Call,
    compile_calls,
    evaluate,
    only_on_the_software_device,
)

import pymetal
from pymetal.msl.options import INCLUDE

NOTHING = [("float", np.zeros(1, np.float32))]


def compiles(text: str, device: str) -> None:
    pymetal.compile(
        f"{PREAMBLE}{text}\nkernel void k(device int* o) {{ o[0] = 1; }}", device=device
    )


def asked_for(kernel: str, device: str) -> None:
    """Compile a file of kernel `k`, and ask for it: others of the file would run."""
    pymetal.compile(f"{PREAMBLE}{kernel}", device=device).kernel("k")


# ---- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("t", ["float", "half", "bfloat"])
def test_limits_of_floating_point_types(device, t):
    functions = [
        "max",
        "min",
        "lowest",
        "epsilon",
        "infinity",
        "quiet_NaN",
        "denorm_min",
        "round_error",
    ]
    results = evaluate(
        {name: f"numeric_limits<{t}>::{name}()" for name in functions},
        t,
        NOTHING,
        device,
        widths=False,
    )
    info = ml_dtypes.finfo(DTYPES[t])
    assert results["max"][0] == info.max == -results["lowest"][0]
    assert results["min"][0] == info.smallest_normal
    assert results["epsilon"][0] == info.eps
    assert results["denorm_min"][0] == info.smallest_subnormal
    assert results["infinity"][0] == np.inf
    assert np.isnan(results["quiet_NaN"][0])
    assert results["round_error"][0] == 0.5
    compiles(
        f"""static_assert(numeric_limits<{t}>::digits == {info.nmant + 1} &&
                numeric_limits<{t}>::max_exponent == {info.maxexp} &&
                numeric_limits<{t}>::min_exponent == {info.minexp + 1} &&
                numeric_limits<{t}>::is_specialized && numeric_limits<{t}>::is_signed &&
                numeric_limits<{t}>::is_iec559 && numeric_limits<{t}>::has_infinity &&
                !numeric_limits<{t}>::is_integer && !numeric_limits<{t}>::is_exact &&
                numeric_limits<{t}>::radix == 2, "");""",
        device,
    )


@pytest.mark.parametrize("t", INTEGERS)
def test_limits_of_integers(device, t):
    results = evaluate(
        {name: f"numeric_limits<{t}>::{name}()" for name in ("max", "min", "lowest")},
        t,
        NOTHING,
        device,
        widths=False,
    )
    info = np.iinfo(DTYPES[t])
    assert results["max"][0] == info.max
    assert results["min"][0] == results["lowest"][0] == info.min
    digits = info.bits - (info.min < 0)
    compiles(
        f"""static_assert(numeric_limits<{t}>::digits == {digits} &&
                numeric_limits<{t}>::digits10 == {digits * 3 // 10} &&
                numeric_limits<{t}>::is_signed == {str(info.min < 0).lower()} &&
                numeric_limits<{t}>::is_integer && numeric_limits<const {t}>::is_exact &&
                !numeric_limits<{t}>::has_infinity, "");""",
        device,
    )


def test_macros_of_limits(device):
    compiles(
        """static_assert(INT_MAX == 2147483647 && INT_MIN == -2147483647 - 1 && UINT_MAX == ~0u &&
            CHAR_BIT == 8 && SCHAR_MIN == -128 && UCHAR_MAX == 255 && SHRT_MAX == 32767 &&
            USHRT_MAX == 65535 && LONG_MAX == 9223372036854775807L && ULONG_MAX == ~0ul, "");
        static_assert(FLT_DIG == 6 && FLT_MANT_DIG == 24 && FLT_RADIX == 2 && HALF_MANT_DIG == 11,
            "");
        static_assert(FLT_MAX > 3.4e38f && FLT_MIN < 1.2e-38f && FLT_EPSILON == 0x1p-23f, "");
        static_assert(HALF_MAX == 65504.0h && HALF_EPSILON < 0.001h, "");""",
        device,
    )


# ---- type traits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        "is_same_v<float, float> && !is_same_v<float, half>",
        "is_floating_point_v<half> && is_floating_point_v<bfloat> && !is_floating_point_v<int>",
        "is_integral_v<uchar> && is_integral_v<bool> && !is_integral_v<float>",
        "is_integral_v<int4> && is_integral<const uchar2>::value && !is_integral_v<float4>",
        "is_arithmetic_v<bfloat> && is_signed_v<int> && is_unsigned_v<uint> && is_signed_v<half>",
        "is_vector<float4>::value && !is_vector_v<float> && is_vector_v<bool2>",
        "is_same_v<make_scalar_t<half3>, half> && is_same_v<make_vector_t<int, 3>, int3>",
        "vec_elements<float3>::value == 3 && vec_elements<float>::value == 1",
        "is_same_v<make_unsigned_t<short>, ushort> && is_same_v<make_signed_t<uint2>, int2>",
        "is_same_v<remove_cv_t<const volatile int>, int>",
        "is_same_v<remove_reference_t<thread int&>, int>",
        "is_same_v<remove_pointer_t<device float*>, float>",
        "is_same_v<conditional_t<true, int, float>, int> && is_same_v<enable_if_t<true, int>, int>",
        "is_same_v<decay_t<const int&>, int> && is_same_v<common_type_t<int, float>, float>",
        "is_pointer_v<device int*> && is_array_v<int[3]> && extent_v<int[3]> == 3",
        "is_reference_v<thread int&> && is_void_v<void> && is_const_v<const int>",
        "is_convertible_v<int, float> && !is_convertible_v<float2, float3>",
        "is_trivially_copyable_v<float4> && alignment_of_v<float3> == 16",
        "disjunction_v<is_same<int, int>, is_same<int, float>> && _disjunction<true_type>::value",
        "conjunction_v<true_type, true_type> && negation_v<false_type>",
        "is_base_of_v<_fp_numeric_limits_impl_base, _numeric_limits_impl<float>>",
        "integral_constant<int, 3>::value == 3 && bool_constant<true>::value",
        "__is_valid_simdgroup_type<float2>::value && !__is_valid_simdgroup_type<bool>::value",
    ],
)
def test_traits_tell_the_truth(device, claim):
    compiles(f'static_assert({claim}, "");', device)


def test_a_trait_that_metal_lacks_is_a_compile_error_that_names_it(device):
    with pytest.raises(pymetal.CompileError, match="is_quaternion"):
        compiles("static_assert(is_quaternion_v<float4>);", device)


# ---- array, uniform ---------------------------------------------------------------------------


def test_an_array_is_an_aggregate_with_a_size(device):
    result = pymetal.compile(
        PREAMBLE
        + """
        kernel void k(device float* out [[buffer(0)]], constant array<float, 4>& in [[buffer(1)]]) {
            array<float, 4> a = {1, 2, 3};
            a[3] = a.front() + a.back() + a.size();
            array_ref<float> view(a);
            float sum = 0;
            for (float x : a) sum += x;
            out[0] = sum; out[1] = view[3]; out[2] = view.size(); out[3] = a == a;
            out[4] = in[2]; out[5] = in.size() + get<1>(a);
            a.fill(7);
            out[6] = a[0] + a.data()[3];
        }""",
        device=device,
    ).kernel("k")(pymetal.output(7), np.array([[1, 2, 3, 4]], np.float32), grid=1, threadgroup=1)
    assert list(result) == [11, 5, 4, 1, 3, 6, 14]


def test_uniform_values_compute_as_their_type(device):
    compiles(
        """uniform<int> twice(uniform<int> a) { return a + a; }
        static_assert(is_same_v<decltype(make_uniform(1) * make_uniform(2)), uniform<int>>, "");
        static_assert(is_same_v<decltype(make_uniform(1) < make_uniform(2)), uniform<bool>>, "");
        int plain(uniform<int> a, int b) { return a * b + metal::max(a, 3); }""",
        device,
    )


# ---- synchronisation, logging -----------------------------------------------------------------


def test_barriers_take_every_memory_flag(device):
    flags = ["none", "device", "threadgroup", "texture", "threadgroup_imageblock", "object_data"]
    every = [
        Call("void", f"{barrier}(mem_flags::mem_{flag})")
        for barrier in ("threadgroup_barrier", "simdgroup_barrier")
        for flag in flags
    ]
    every.append(
        Call("void", "threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup)")
    )
    compile_calls(every, device)
    with pytest.raises(pymetal.CompileError, match="mem_host"):
        compile_calls([Call("void", "threadgroup_barrier(mem_flags::mem_host)")], device)


def test_a_barrier_makes_other_threads_writes_visible(device):
    kernel = pymetal.compile(
        PREAMBLE
        + """
        kernel void k(device uint* out [[buffer(0)]], device uint* scratch [[buffer(1)]],
                      uint i [[thread_position_in_grid]],
                      uint local [[thread_position_in_threadgroup]],
                      uint n [[threads_per_threadgroup]]) {
            threadgroup uint tile[256];
            tile[local] = i;
            scratch[i] = i * 2;
            threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
            uint other = n - 1 - local;
            out[i] = tile[other] + scratch[i - local + other];
        }""",
        device=device,
    ).kernel("k")
    result = kernel(pymetal.output(512), np.zeros(512, np.uint32), grid=512, threadgroup=256)
    mirrored = np.arange(512).reshape(2, 256)[:, ::-1].ravel()
    assert (result == mirrored * 3).all()


def test_log_calls_compile_and_do_no_harm(device):
    kernel = pymetal.compile(
        "#include <metal_logging>\n"
        + PREAMBLE
        + """
        constant os_log own("com.example", "kernels");
        kernel void k(device int* out [[buffer(0)]]) {
            os_log_default.log("value %d", out[0]);
            own.log_debug("%f", 1.0f); own.log_info("info"); own.log_error("%u", 3u);
            own.log_fault("fault"); out[0] = 5;
        }""",
        device=device,
    ).kernel("k")
    assert kernel(pymetal.output(1), grid=1, threadgroup=1)[0] == 5


# ---- headers ----------------------------------------------------------------------------------

HEADERS = sorted(
    str(p.relative_to(INCLUDE))
    for p in INCLUDE.rglob("*")
    if p.is_file() and not p.name.startswith(("pymetal_", "MetalPerformance"))
)


@pytest.mark.parametrize("header", HEADERS)
def test_every_header_can_be_included_alone(device, header):
    source = f"#include <{header}>\nkernel void k(device float* o) {{ o[0] = metal::sqrt(2.0f); }}"
    pymetal.compile(source, device=device)


def test_a_header_that_metal_lacks_is_a_compile_error_that_names_it(device):
    with pytest.raises(pymetal.CompileError, match="metal_magic"):
        compiles("#include <metal_magic>", device)


def test_names_of_simd_h_are_metals_types(device):
    compiles(
        """#include <simd/simd.h>
        struct Shared { simd_float4 a; vector_uint2 b; matrix_float4x4 c; simd::float3 d; };
        static_assert(is_same_v<decltype(Shared::a), float4> && sizeof(Shared) == 112, "");""",
        device,
    )


def test_target_conditionals_say_macos(device):
    compiles(
        "#include <TargetConditionals.h>\n#if !TARGET_OS_OSX || TARGET_OS_IPHONE\n#error\n#endif",
        device,
    )


# ---- what is not supported --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "feature"),
    [
        ("texture2d<float> t", "textures"),
        ("texture_buffer<uint, access::write> t", "textures"),
        ("depth2d_array<float> t", "textures"),
        ("sampler s", "textures"),
        ("raytracing::ray r", "ray tracing"),
        ("raytracing::intersector<raytracing::triangle_data> i", "ray tracing"),
        ("visible_function_table<float(float)> t", "visible function tables"),
        ("command_buffer b", "indirect command buffers"),
        ("imageblock<float4> b", "imageblocks"),
    ],
)
def test_an_unsupported_type_is_an_error_that_names_its_feature(device, parameter, feature):
    only_on_the_software_device(device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        asked_for(f"kernel void k({parameter}) {{}}", device)
    assert caught.value.feature == feature


def test_a_tensor_without_its_header_is_an_error_that_names_it(device):
    only_on_the_software_device(device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        compiles("void f(tensor<float, int> t) {}", device)
    assert caught.value.feature == "tensors"


@pytest.mark.parametrize(
    ("statement", "feature"),
    [("discard_fragment();", "rendering"), ("float d = dfdx(1.0f);", "rendering")],
)
def test_a_rendering_function_is_an_error_that_names_its_feature(device, statement, feature):
    only_on_the_software_device(device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        asked_for(f"kernel void k() {{ {statement} }}", device)
    assert caught.value.feature == feature


def test_internal_names_of_apples_headers_work(device):
    kernel = pymetal.compile(
        PREAMBLE
        + """
        struct Pair { float a; };
        namespace metal {
        template <>
        struct _numeric_limits_impl<Pair> : _fp_numeric_limits_impl_base {
            static constexpr Pair max() { return {5}; }
        };
        }
        kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
            out[0] = __metal_sqrt(4.0f, __METAL_FAST_MATH__);
            out[1] = __metal_fmax(1.0f, 2.0f, __METAL_MAYBE_FAST_MATH__);
            out[2] = __metal_fma(2.0f, 3.0f, 4.0f);
            out[3] = numeric_limits<Pair>::max().a;
            out[4] = __metal_simd_sum(1.0f);
            if (i == 3) out[5] = __metal_get_thread_index_in_simdgroup(ushort());
            out[6] = __metal_get_simdgroup_size(ushort());
            out[7] = __metal_pow(2.0f, 3.0f, __METAL_PRECISE_MATH__);
        }""",
        device=device,
    ).kernel("k")
    result = kernel(pymetal.output(8), grid=32, threadgroup=32)
    assert list(result) == [2, 2, 10, 5, 32, 3, 32, 8]
