// Mathematics: <metal_math>. Metal Shading Language Specification, section 6.5.
//
// metal::precise and metal::fast hold two variants of what is not exact; metal::NAME is fast where
// the math mode is fast. Half is computed in float and rounded once.
#pragma once
#pragma clang system_header
#include "pymetal_air.h"
#include "pymetal_limits.h"
#include "pymetal_overloads.h"

#ifdef __FAST_MATH__ // clang's name for the fast math mode
#define PYMETAL_MATH_MODE fast
#else
#define PYMETAL_MATH_MODE precise
#endif

namespace metal {

// ---- exact: one variant -----------------------------------------------------------------------

#define PYMETAL_MATH_1(name, builtin)                                                              \
    METAL_FUNC float name(float x) {                                                               \
        return builtin(x);                                                                         \
    }                                                                                              \
    METAL_FUNC float2 name(float2 x) {                                                             \
        return builtin(x);                                                                         \
    }                                                                                              \
    METAL_FUNC float3 name(float3 x) {                                                             \
        return builtin(x);                                                                         \
    }                                                                                              \
    METAL_FUNC float4 name(float4 x) {                                                             \
        return builtin(x);                                                                         \
    }                                                                                              \
    PYMETAL_HALF_1(name)
#define PYMETAL_MATH_2(name, builtin)                                                              \
    METAL_FUNC float name(float x, float y) {                                                      \
        return builtin(x, y);                                                                      \
    }                                                                                              \
    METAL_FUNC float2 name(float2 x, float2 y) {                                                   \
        return builtin(x, y);                                                                      \
    }                                                                                              \
    METAL_FUNC float3 name(float3 x, float3 y) {                                                   \
        return builtin(x, y);                                                                      \
    }                                                                                              \
    METAL_FUNC float4 name(float4 x, float4 y) {                                                   \
        return builtin(x, y);                                                                      \
    }                                                                                              \
    PYMETAL_HALF_2(name)

PYMETAL_MATH_1(abs, __builtin_elementwise_abs)
PYMETAL_MATH_1(fabs, __builtin_elementwise_abs)
PYMETAL_MATH_1(ceil, __builtin_elementwise_ceil)
PYMETAL_MATH_1(floor, __builtin_elementwise_floor)
PYMETAL_MATH_1(rint, __builtin_elementwise_rint)
PYMETAL_MATH_1(round, __builtin_elementwise_round)
PYMETAL_MATH_1(trunc, __builtin_elementwise_trunc)
PYMETAL_MATH_2(copysign, __builtin_elementwise_copysign)
PYMETAL_MATH_2(fmod, __builtin_elementwise_fmod)
// One NaN gives the other argument.
PYMETAL_MATH_2(fmax, __builtin_elementwise_maxnum)
PYMETAL_MATH_2(fmin, __builtin_elementwise_minnum)
PYMETAL_MATH_2(max, __builtin_elementwise_maxnum)
PYMETAL_MATH_2(min, __builtin_elementwise_minnum)

#define PYMETAL_DIVIDE(V)                                                                          \
    METAL_FUNC V divide(V x, V y) {                                                                \
        return x / y;                                                                              \
    }
PYMETAL_FLOATS(PYMETAL_DIVIDE)

// NaN if either is NaN, as x - y is.
#define PYMETAL_FDIM(V)                                                                            \
    METAL_FUNC V fdim(V x, V y) {                                                                  \
        return x <= y ? (V)0 : x - y;                                                              \
    }
PYMETAL_WIDTHS(PYMETAL_FDIM, float)
PYMETAL_HALF_2(fdim)

#define PYMETAL_FMA(V)                                                                             \
    METAL_FUNC V fma(V a, V b, V c) {                                                              \
        return __builtin_elementwise_fma(a, b, c);                                                 \
    }
PYMETAL_WIDTHS(PYMETAL_FMA, float)
// The product of two halves is exact in double, and so is its sum with a third wherever that
// matters to the one rounding. (Rounding a float fma to half would round twice.)
METAL_FUNC half fma(half a, half b, half c) {
    return (half)((double)a * (double)b + (double)c);
}
PYMETAL_BY_COMPONENT_3(half, fma, half)

#define PYMETAL_MINMAX3(V)                                                                         \
    METAL_FUNC V fmax3(V x, V y, V z) {                                                            \
        return fmax(x, fmax(y, z));                                                                \
    }                                                                                              \
    METAL_FUNC V fmin3(V x, V y, V z) {                                                            \
        return fmin(x, fmin(y, z));                                                                \
    }                                                                                              \
    METAL_FUNC V fmedian3(V x, V y, V z) {                                                         \
        return fmax(fmin(x, y), fmin(fmax(x, y), z));                                              \
    }                                                                                              \
    METAL_FUNC V max3(V x, V y, V z) {                                                             \
        return fmax3(x, y, z);                                                                     \
    }                                                                                              \
    METAL_FUNC V min3(V x, V y, V z) {                                                             \
        return fmin3(x, y, z);                                                                     \
    }                                                                                              \
    METAL_FUNC V median3(V x, V y, V z) {                                                          \
        return fmedian3(x, y, z);                                                                  \
    }
PYMETAL_FLOATS(PYMETAL_MINMAX3)

// A bfloat argument becomes a float. Where integer overloads share the name that must be said, and
// by templates: public kernels declare their own overloads for bfloat.
#define PYMETAL_BFLOAT(name, parameters, ...)                                                      \
    template <class T, pymetal::only_bfloat<T> = 0>                                                \
    METAL_FUNC float name parameters {                                                             \
        return name(__VA_ARGS__);                                                                  \
    }
PYMETAL_BFLOAT(abs, (T x), (float)x)
PYMETAL_BFLOAT(max, (T x, T y), (float)x, (float)y)
PYMETAL_BFLOAT(min, (T x, T y), (float)x, (float)y)
PYMETAL_BFLOAT(max3, (T x, T y, T z), (float)x, (float)y, (float)z)
PYMETAL_BFLOAT(min3, (T x, T y, T z), (float)x, (float)y, (float)z)
PYMETAL_BFLOAT(median3, (T x, T y, T z), (float)x, (float)y, (float)z)

// In [0, 1): a tiny negative x must not round up to 1, and an infinity has no fraction.
#define PYMETAL_FRACT(V)                                                                           \
    METAL_FUNC V fract(V x) {                                                                      \
        V whole = floor(x), f = x - whole;                                                         \
        return whole == x ? (V)0 : f >= (V)1 ? (V)0x1.fffffep-1f : f;                              \
    }
PYMETAL_WIDTHS(PYMETAL_FRACT, float)
#undef PYMETAL_FRACT
#define PYMETAL_FRACT(V)                                                                           \
    METAL_FUNC V fract(V x) {                                                                      \
        V whole = floor(x), f = x - whole;                                                         \
        return whole == x ? (V)0 : f >= (V)1 ? (V)0x1.ffcp-1f : f;                                 \
    }
PYMETAL_WIDTHS(PYMETAL_FRACT, half)

// The fraction of an infinity is zero; both parts keep the sign of x.
#define PYMETAL_MODF(V)                                                                            \
    METAL_FUNC V modf(V x, thread V& whole) {                                                      \
        whole = trunc(x);                                                                          \
        return copysign(whole == x ? (V)0 : x - whole, x);                                         \
    }
PYMETAL_FLOATS(PYMETAL_MODF)

// ---- by the bits of a float -------------------------------------------------------------------

// x = result * 2^exponent with the result in [1/2, 1); zero, infinity and NaN as they are.
METAL_FUNC float frexp(float x, thread int& exponent) {
    uint magnitude = as_type<uint>(x) & 0x7fffffffu;
    if (magnitude == 0 || magnitude >= 0x7f800000u) {
        exponent = 0;
        return x;
    }
    bool subnormal = magnitude < 0x00800000u;
    uint bits = as_type<uint>(subnormal ? x * 0x1p24f : x);
    exponent = (int)(bits >> 23 & 0xffu) - (subnormal ? 126 + 24 : 126);
    return as_type<float>((bits & 0x807fffffu) | 0x3f000000u);
}
METAL_FUNC half frexp(half x, thread int& exponent) {
    return (half)frexp((float)x, exponent);
}
#define PYMETAL_FREXP(T)                                                                           \
    METAL_FUNC T##2 frexp(T##2 x, thread int2& exponent) {                                         \
        int a, b;                                                                                  \
        T##2 m = {frexp(x.x, a), frexp(x.y, b)};                                                   \
        exponent = int2{a, b};                                                                     \
        return m;                                                                                  \
    }                                                                                              \
    METAL_FUNC T##3 frexp(T##3 x, thread int3& exponent) {                                         \
        int a, b, c;                                                                               \
        T##3 m = {frexp(x.x, a), frexp(x.y, b), frexp(x.z, c)};                                    \
        exponent = int3{a, b, c};                                                                  \
        return m;                                                                                  \
    }                                                                                              \
    METAL_FUNC T##4 frexp(T##4 x, thread int4& exponent) {                                         \
        int a, b, c, d;                                                                            \
        T##4 m = {frexp(x.x, a), frexp(x.y, b), frexp(x.z, c), frexp(x.w, d)};                     \
        exponent = int4{a, b, c, d};                                                               \
        return m;                                                                                  \
    }
PYMETAL_FREXP(float)
PYMETAL_FREXP(half)

METAL_FUNC int ilogb(float x) {
    uint magnitude = as_type<uint>(x) & 0x7fffffffu;
    if (magnitude == 0)
        return FP_ILOGB0;
    if (magnitude >= 0x7f800000u)
        return FP_ILOGBNAN; // infinity too: INT_MAX
    int exponent;
    frexp(x, exponent);
    return exponent - 1;
}
METAL_FUNC int ilogb(half x) {
    return ilogb((float)x);
}
PYMETAL_BY_COMPONENT_1(int, ilogb, float)
PYMETAL_BY_COMPONENT_1(int, ilogb, half)

// In double the scaled value is exact for every k that matters, so the result is rounded once.
METAL_FUNC float ldexp(float x, int k) {
    k = k < -300 ? -300 : k > 300 ? 300 : k;
    return (float)((double)x * as_type<double>((ulong)(1023 + k) << 52));
}
METAL_FUNC half ldexp(half x, int k) {
    k = k < -100 ? -100 : k > 100 ? 100 : k;
    return (half)((float)x * as_type<float>((127 + k) << 23));
}
#define PYMETAL_LDEXP(T)                                                                           \
    METAL_FUNC T##2 ldexp(T##2 x, int2 k) {                                                        \
        return T##2 {ldexp(x.x, k.x), ldexp(x.y, k.y)};                                            \
    }                                                                                              \
    METAL_FUNC T##3 ldexp(T##3 x, int3 k) {                                                        \
        return T##3 {ldexp(x.x, k.x), ldexp(x.y, k.y), ldexp(x.z, k.z)};                           \
    }                                                                                              \
    METAL_FUNC T##4 ldexp(T##4 x, int4 k) {                                                        \
        return T##4 {ldexp(x.x, k.x), ldexp(x.y, k.y), ldexp(x.z, k.z), ldexp(x.w, k.w)};          \
    }
PYMETAL_LDEXP(float)
PYMETAL_LDEXP(half)

// Neighbours in value are neighbours in bits, away from zero upwards.
#define PYMETAL_NEXTAFTER(T, U, SIGN)                                                              \
    METAL_FUNC T nextafter(T x, T y) {                                                             \
        if (x != x || y != y)                                                                      \
            return x + y;                                                                          \
        if (x == y)                                                                                \
            return y;                                                                              \
        U bits = as_type<U>(x);                                                                    \
        if (x == (T)0)                                                                             \
            return as_type<T>((U)((as_type<U>(y) & SIGN) | 1));                                    \
        bool away = (x < y) == (x > (T)0);                                                         \
        return as_type<T>((U)(away ? bits + 1 : bits - 1));                                        \
    }
PYMETAL_NEXTAFTER(float, uint, 0x80000000u)
PYMETAL_NEXTAFTER(half, ushort, 0x8000u)
PYMETAL_BY_COMPONENT_2(float, nextafter, float)
PYMETAL_BY_COMPONENT_2(half, nextafter, half)

// ---- precise and fast -------------------------------------------------------------------------

#define PYMETAL_MATH_AIR_1(name, function)                                                         \
    METAL_FUNC float name(float x) {                                                               \
        return pymetal::air::function(x);                                                          \
    }                                                                                              \
    PYMETAL_BY_COMPONENT_1(float, name, float)                                                     \
    PYMETAL_HALF_1(name)
#define PYMETAL_MATH_AIR_2(name, function)                                                         \
    METAL_FUNC float name(float x, float y) {                                                      \
        return pymetal::air::function(x, y);                                                       \
    }                                                                                              \
    PYMETAL_BY_COMPONENT_2(float, name, float)                                                     \
    PYMETAL_HALF_2(name)
#define PYMETAL_SINCOS(V)                                                                          \
    METAL_FUNC V sincos(V x, thread V& cosine) {                                                   \
        cosine = cos(x);                                                                           \
        return sin(x);                                                                             \
    }

namespace precise {
PYMETAL_MATH_1(acos, __builtin_elementwise_acos)
PYMETAL_MATH_1(asin, __builtin_elementwise_asin)
PYMETAL_MATH_1(atan, __builtin_elementwise_atan)
PYMETAL_MATH_1(cos, __builtin_elementwise_cos)
PYMETAL_MATH_1(cosh, __builtin_elementwise_cosh)
PYMETAL_MATH_1(exp, __builtin_elementwise_exp)
PYMETAL_MATH_1(exp10, __builtin_elementwise_exp10)
PYMETAL_MATH_1(exp2, __builtin_elementwise_exp2)
PYMETAL_MATH_1(log, __builtin_elementwise_log)
PYMETAL_MATH_1(log10, __builtin_elementwise_log10)
PYMETAL_MATH_1(log2, __builtin_elementwise_log2)
PYMETAL_MATH_1(sin, __builtin_elementwise_sin)
PYMETAL_MATH_1(sinh, __builtin_elementwise_sinh)
PYMETAL_MATH_1(sqrt, __builtin_elementwise_sqrt)
PYMETAL_MATH_1(tan, __builtin_elementwise_tan)
PYMETAL_MATH_1(tanh, __builtin_elementwise_tanh)
PYMETAL_MATH_2(atan2, __builtin_elementwise_atan2)
PYMETAL_MATH_2(pow, __builtin_elementwise_pow)
PYMETAL_MATH_AIR_1(acosh, acosh)
PYMETAL_MATH_AIR_1(asinh, asinh)
PYMETAL_MATH_AIR_1(atanh, atanh)
PYMETAL_MATH_AIR_1(cospi, cospi)
PYMETAL_MATH_AIR_1(rsqrt, rsqrt)
PYMETAL_MATH_AIR_1(sinpi, sinpi)
PYMETAL_MATH_AIR_1(tanpi, tanpi)
PYMETAL_MATH_AIR_2(powr, powr)
PYMETAL_FLOATS(PYMETAL_SINCOS)
} // namespace precise

namespace fast {
PYMETAL_MATH_AIR_1(acos, fast_acos)
PYMETAL_MATH_AIR_1(acosh, fast_acosh)
PYMETAL_MATH_AIR_1(asin, fast_asin)
PYMETAL_MATH_AIR_1(asinh, fast_asinh)
PYMETAL_MATH_AIR_1(atan, fast_atan)
PYMETAL_MATH_AIR_1(atanh, fast_atanh)
PYMETAL_MATH_AIR_1(cos, fast_cos)
PYMETAL_MATH_AIR_1(cosh, fast_cosh)
PYMETAL_MATH_AIR_1(cospi, fast_cospi)
PYMETAL_MATH_AIR_1(exp, fast_exp)
PYMETAL_MATH_AIR_1(exp10, fast_exp10)
PYMETAL_MATH_AIR_1(exp2, fast_exp2)
PYMETAL_MATH_AIR_1(log, fast_log)
PYMETAL_MATH_AIR_1(log10, fast_log10)
PYMETAL_MATH_AIR_1(log2, fast_log2)
PYMETAL_MATH_AIR_1(rsqrt, fast_rsqrt)
PYMETAL_MATH_AIR_1(sin, fast_sin)
PYMETAL_MATH_AIR_1(sinh, fast_sinh)
PYMETAL_MATH_AIR_1(sinpi, fast_sinpi)
PYMETAL_MATH_AIR_1(sqrt, fast_sqrt)
PYMETAL_MATH_AIR_1(tan, fast_tan)
PYMETAL_MATH_AIR_1(tanh, fast_tanh)
PYMETAL_MATH_AIR_1(tanpi, fast_tanpi)
PYMETAL_MATH_AIR_2(atan2, fast_atan2)
PYMETAL_MATH_AIR_2(pow, fast_pow)
PYMETAL_MATH_AIR_2(powr, fast_powr)
PYMETAL_FLOATS(PYMETAL_SINCOS)
} // namespace fast

// clang-format off
#define PYMETAL_MATH_NAMES(NAME)                                                                   \
    NAME(acos) NAME(acosh) NAME(asin) NAME(asinh) NAME(atan) NAME(atan2) NAME(atanh) NAME(cos)     \
    NAME(cosh) NAME(cospi) NAME(exp) NAME(exp10) NAME(exp2) NAME(log) NAME(log10) NAME(log2)       \
    NAME(pow) NAME(powr) NAME(rsqrt) NAME(sin) NAME(sincos) NAME(sinh) NAME(sinpi) NAME(sqrt)      \
    NAME(tan) NAME(tanh) NAME(tanpi)
#define PYMETAL_EXACT_NAMES(NAME)                                                                  \
    NAME(abs) NAME(ceil) NAME(copysign) NAME(divide) NAME(fabs) NAME(fdim) NAME(floor) NAME(fma)   \
    NAME(fmax) NAME(fmax3) NAME(fmedian3) NAME(fmin) NAME(fmin3) NAME(fmod) NAME(fract)            \
    NAME(frexp) NAME(ilogb) NAME(ldexp) NAME(max) NAME(max3) NAME(median3) NAME(min) NAME(min3)    \
    NAME(modf) NAME(nextafter) NAME(rint) NAME(round) NAME(trunc)
// clang-format on
#define PYMETAL_USING(name) using PYMETAL_MATH_MODE::name;
PYMETAL_MATH_NAMES(PYMETAL_USING)
#undef PYMETAL_USING
#define PYMETAL_USING(name) using metal::name;
namespace precise {
PYMETAL_EXACT_NAMES(PYMETAL_USING)
}
namespace fast {
PYMETAL_EXACT_NAMES(PYMETAL_USING)
}
#undef PYMETAL_USING

} // namespace metal
