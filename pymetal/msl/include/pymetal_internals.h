// Names of Apple's own headers that public kernels call: __metal_sin(x, fast) and the like.
// They forward; `fast` is one of __METAL_FAST_MATH__, __METAL_PRECISE_MATH__,
// __METAL_MAYBE_FAST_MATH__.
#pragma once
#pragma clang system_header
#include "pymetal_common.h"
#include "pymetal_config.h"
#include "pymetal_simdgroup.h"

#define PYMETAL_INTERNAL_1(name)                                                                   \
    template <class T>                                                                             \
    METAL_FUNC T __metal_##name(T x, bool fast) {                                                  \
        return fast ? metal::fast::name(x) : metal::precise::name(x);                              \
    }
#define PYMETAL_INTERNAL_2(name)                                                                   \
    template <class T>                                                                             \
    METAL_FUNC T __metal_##name(T x, T y, bool fast) {                                             \
        return fast ? metal::fast::name(x, y) : metal::precise::name(x, y);                        \
    }
#define PYMETAL_INTERNAL_3(name)                                                                   \
    template <class T>                                                                             \
    METAL_FUNC T __metal_##name(T x, T y, T z, bool) {                                             \
        return metal::name(x, y, z);                                                               \
    }
PYMETAL_INTERNAL_1(acos)
PYMETAL_INTERNAL_1(acosh)
PYMETAL_INTERNAL_1(asin)
PYMETAL_INTERNAL_1(asinh)
PYMETAL_INTERNAL_1(atan)
PYMETAL_INTERNAL_1(atanh)
PYMETAL_INTERNAL_1(ceil)
PYMETAL_INTERNAL_1(cos)
PYMETAL_INTERNAL_1(cosh)
PYMETAL_INTERNAL_1(cospi)
PYMETAL_INTERNAL_1(exp)
PYMETAL_INTERNAL_1(exp10)
PYMETAL_INTERNAL_1(exp2)
PYMETAL_INTERNAL_1(fabs)
PYMETAL_INTERNAL_1(floor)
PYMETAL_INTERNAL_1(fract)
PYMETAL_INTERNAL_1(log)
PYMETAL_INTERNAL_1(log10)
PYMETAL_INTERNAL_1(log2)
PYMETAL_INTERNAL_1(rint)
PYMETAL_INTERNAL_1(round)
PYMETAL_INTERNAL_1(rsqrt)
PYMETAL_INTERNAL_1(sin)
PYMETAL_INTERNAL_1(sinh)
PYMETAL_INTERNAL_1(sinpi)
PYMETAL_INTERNAL_1(sqrt)
PYMETAL_INTERNAL_1(tan)
PYMETAL_INTERNAL_1(tanh)
PYMETAL_INTERNAL_1(tanpi)
PYMETAL_INTERNAL_1(trunc)
PYMETAL_INTERNAL_2(atan2)
PYMETAL_INTERNAL_2(divide)
PYMETAL_INTERNAL_2(fmax)
PYMETAL_INTERNAL_2(fmin)
PYMETAL_INTERNAL_2(fmod)
PYMETAL_INTERNAL_2(pow)
PYMETAL_INTERNAL_2(powr)
PYMETAL_INTERNAL_3(clamp)
PYMETAL_INTERNAL_3(fmax3)
PYMETAL_INTERNAL_3(fmedian3)
PYMETAL_INTERNAL_3(fmin3)
#undef PYMETAL_INTERNAL_1
#undef PYMETAL_INTERNAL_2
#undef PYMETAL_INTERNAL_3

template <class T>
METAL_FUNC T __metal_fma(T a, T b, T c) {
    return metal::fma(a, b, c);
}
template <class T>
METAL_FUNC T __metal_frexp(T x, thread int* exponent) {
    return metal::frexp(x, *exponent);
}
template <class T>
METAL_FUNC T __metal_ldexp(T x, int k, bool) {
    return metal::ldexp(x, k);
}
template <class T>
METAL_FUNC T __metal_nextafter(T x, T y) {
    return metal::nextafter(x, y);
}

#define PYMETAL_INTERNAL(name)                                                                     \
    template <class... A>                                                                          \
    METAL_FUNC auto __metal_##name(A... a) {                                                       \
        return metal::name(a...);                                                                  \
    }
PYMETAL_INTERNAL(simd_broadcast)
PYMETAL_INTERNAL(simd_broadcast_first)
PYMETAL_INTERNAL(simd_max)
PYMETAL_INTERNAL(simd_min)
PYMETAL_INTERNAL(simd_prefix_exclusive_product)
PYMETAL_INTERNAL(simd_prefix_exclusive_sum)
PYMETAL_INTERNAL(simd_prefix_inclusive_product)
PYMETAL_INTERNAL(simd_prefix_inclusive_sum)
PYMETAL_INTERNAL(simd_product)
PYMETAL_INTERNAL(simd_shuffle)
PYMETAL_INTERNAL(simd_shuffle_and_fill_down)
PYMETAL_INTERNAL(simd_shuffle_and_fill_up)
PYMETAL_INTERNAL(simd_shuffle_down)
PYMETAL_INTERNAL(simd_shuffle_rotate_down)
PYMETAL_INTERNAL(simd_shuffle_rotate_up)
PYMETAL_INTERNAL(simd_shuffle_up)
PYMETAL_INTERNAL(simd_shuffle_xor)
PYMETAL_INTERNAL(simd_sum)
#undef PYMETAL_INTERNAL

// Public code names these for floats too, and never calls them so.
#define PYMETAL_INTERNAL_BITS(name)                                                                \
    template <class T>                                                                             \
    METAL_FUNC T __metal_##name(T x) {                                                             \
        if constexpr (__is_integral(T))                                                            \
            return metal::name(x);                                                                 \
        else                                                                                       \
            return as_type<T>(metal::name(as_type<uint>((float)x)));                               \
    }
PYMETAL_INTERNAL_BITS(simd_and)
PYMETAL_INTERNAL_BITS(simd_or)
PYMETAL_INTERNAL_BITS(simd_xor)
#undef PYMETAL_INTERNAL_BITS

// The argument's type is the type of the answer.
template <class T>
METAL_FUNC T __metal_get_thread_index_in_simdgroup(T) {
    return (T)pymetal::air::thread_index_in_simdgroup();
}
template <class T>
METAL_FUNC T __metal_get_simdgroup_index_in_threadgroup(T) {
    return (T)pymetal::air::simdgroup_index_in_threadgroup();
}
template <class T>
METAL_FUNC T __metal_get_simdgroup_size(T) {
    return (T)32;
}
