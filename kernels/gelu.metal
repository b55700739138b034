// GELU of each element.
//
// function   grid, in threads  threadgroup
// gelu       (n, 1, 1)         any, such as (256, 1, 1)
//     the definition, with the error function
// gelu_tanh  (n, 1, 1)         any, such as (256, 1, 1)
//     the usual approximation by tanh
//
// Each has _half and _bfloat beside float (T); all compute in float.
//
// buffer  name  type             shape            access
// 0       out   device T*        any, n elements  write
// 1       x     device const T*  as out           read
//
// formula    gelu: x * (1 + erf(x / sqrt 2)) / 2
//            gelu_tanh: x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2
// reference  the formulas in float64
// source     Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016
//
// As `pymetal check --run` tries it:
// launch: gelu* -o 100 -i random:100 --grid 100 --threadgroup 32

#include <metal_stdlib>
using namespace metal;

// erfc(z) for z >= 0, to about 4e-8 relative besides the rounding of exp(-z^2). Metal has no erf.
// With t = 1 / (1 + z / 2), erfc(z) exp(z^2) / t is smooth in t: a polynomial fitted to it here by
// reweighted least squares over 0 <= z <= 14, beyond which exp(-z^2) is zero in float.
static float erfc_positive(float z)
{
    float t = 1.0f / (1.0f + 0.5f * z);
    float p = -0.0593862978f;
    p = fma(p, t, 0.286123242f);
    p = fma(p, t, -0.490405045f);
    p = fma(p, t, 0.281731985f);
    p = fma(p, t, -0.0291478064f);
    p = fma(p, t, 0.203752299f);
    p = fma(p, t, 0.242835151f);
    p = fma(p, t, 0.282412097f);
    p = fma(p, t, 0.282084331f);
    return p * t * exp(-z * z);
}

template <typename T>
[[kernel]] void gelu_erf(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]])
{
    // 1 + erf(z) is erfc(-z): for negative x it is small, and subtracting from 1 would cancel.
    float value = float(x[gid]);
    float tail = erfc_positive(abs(value) * M_SQRT1_2_F);
    out[gid] = T(0.5f * value * (value < 0.0f ? tail : 2.0f - tail));
}

template <typename T>
[[kernel]] void gelu_approximate(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]])
{
    // (1 + tanh(u)) / 2 is 1 / (1 + exp(-2 u)), without the cancellation for negative u.
    float value = float(x[gid]);
    float u = 0.797884561f * (value + 0.044715f * value * value * value);
    out[gid] = T(value / (1.0f + exp(-2.0f * u)));
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("gelu" suffix)]] [[kernel]]                                               \
    decltype(gelu_erf<T>) gelu_erf<T>;                                                             \
    template [[host_name("gelu_tanh" suffix)]] [[kernel]]                                          \
    decltype(gelu_approximate<T>) gelu_approximate<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
