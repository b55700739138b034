// The functions that the engines provide: every air.* intrinsic the library emits, and no other
// (docs/air.md, "Intrinsics"). What LLVM has an intrinsic for is written as a clang builtin
// instead.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

namespace pymetal::air {

// ---- mathematics, in float --------------------------------------------------------------------

#define PYMETAL_AIR_MATH_1(name) float name(float) __asm("air." #name ".f32") PYMETAL_PURE;
#define PYMETAL_AIR_MATH_2(name) float name(float, float) __asm("air." #name ".f32") PYMETAL_PURE;
PYMETAL_AIR_MATH_1(acosh)
PYMETAL_AIR_MATH_1(asinh)
PYMETAL_AIR_MATH_1(atanh)
PYMETAL_AIR_MATH_1(cospi)
PYMETAL_AIR_MATH_1(rsqrt)
PYMETAL_AIR_MATH_1(sinpi)
PYMETAL_AIR_MATH_1(tanpi)
PYMETAL_AIR_MATH_2(powr)

PYMETAL_AIR_MATH_1(fast_acos)
PYMETAL_AIR_MATH_1(fast_acosh)
PYMETAL_AIR_MATH_1(fast_asin)
PYMETAL_AIR_MATH_1(fast_asinh)
PYMETAL_AIR_MATH_1(fast_atan)
PYMETAL_AIR_MATH_1(fast_atanh)
PYMETAL_AIR_MATH_1(fast_cos)
PYMETAL_AIR_MATH_1(fast_cosh)
PYMETAL_AIR_MATH_1(fast_cospi)
PYMETAL_AIR_MATH_1(fast_exp)
PYMETAL_AIR_MATH_1(fast_exp2)
PYMETAL_AIR_MATH_1(fast_exp10)
PYMETAL_AIR_MATH_1(fast_log)
PYMETAL_AIR_MATH_1(fast_log2)
PYMETAL_AIR_MATH_1(fast_log10)
PYMETAL_AIR_MATH_1(fast_rsqrt)
PYMETAL_AIR_MATH_1(fast_sin)
PYMETAL_AIR_MATH_1(fast_sinh)
PYMETAL_AIR_MATH_1(fast_sinpi)
PYMETAL_AIR_MATH_1(fast_sqrt)
PYMETAL_AIR_MATH_1(fast_tan)
PYMETAL_AIR_MATH_1(fast_tanh)
PYMETAL_AIR_MATH_1(fast_tanpi)
PYMETAL_AIR_MATH_2(fast_atan2)
PYMETAL_AIR_MATH_2(fast_pow)
PYMETAL_AIR_MATH_2(fast_powr)
#undef PYMETAL_AIR_MATH_1
#undef PYMETAL_AIR_MATH_2

// ---- synchronisation --------------------------------------------------------------------------

void wg_barrier(int mem_flags, int scope) __asm("air.wg.barrier") PYMETAL_CONVERGENT;
void simdgroup_barrier(int mem_flags, int scope) __asm("air.simdgroup.barrier") PYMETAL_CONVERGENT;

uint thread_index_in_simdgroup() __asm("air.get_thread_index_in_simdgroup.i32") PYMETAL_PURE;
uint simdgroup_index_in_threadgroup() __asm("air.get_simdgroup_index_in_threadgroup.i32")
    PYMETAL_PURE;

// ---- across the lanes of a simdgroup or quadgroup ---------------------------------------------

#define PYMETAL_AIR_GROUP_1(group, name, T, type)                                                  \
    T group##_##name(T) __asm("air." #group "_" #name "." type) PYMETAL_CONVERGENT;
#define PYMETAL_AIR_GROUP_LANE(group, name, T, type)                                               \
    T group##_##name(T, ushort) __asm("air." #group "_" #name "." type) PYMETAL_CONVERGENT;
#define PYMETAL_AIR_GROUP_FILL(group, name, T, type)                                               \
    T group##_##name(T data, T fill, ushort delta,                                                 \
                     ushort modulo) __asm("air." #group "_" #name "." type) PYMETAL_CONVERGENT;

#define PYMETAL_AIR_GROUP(group, T, type)                                                          \
    PYMETAL_AIR_GROUP_1(group, sum, T, type)                                                       \
    PYMETAL_AIR_GROUP_1(group, product, T, type)                                                   \
    PYMETAL_AIR_GROUP_1(group, min, T, type)                                                       \
    PYMETAL_AIR_GROUP_1(group, max, T, type)                                                       \
    PYMETAL_AIR_GROUP_1(group, prefix_inclusive_sum, T, type)                                      \
    PYMETAL_AIR_GROUP_1(group, prefix_exclusive_sum, T, type)                                      \
    PYMETAL_AIR_GROUP_1(group, prefix_inclusive_product, T, type)                                  \
    PYMETAL_AIR_GROUP_1(group, prefix_exclusive_product, T, type)                                  \
    PYMETAL_AIR_GROUP_1(group, broadcast_first, T, type)                                           \
    PYMETAL_AIR_GROUP_LANE(group, broadcast, T, type)                                              \
    PYMETAL_AIR_GROUP_LANE(group, shuffle, T, type)                                                \
    PYMETAL_AIR_GROUP_LANE(group, shuffle_up, T, type)                                             \
    PYMETAL_AIR_GROUP_LANE(group, shuffle_down, T, type)                                           \
    PYMETAL_AIR_GROUP_LANE(group, shuffle_xor, T, type)                                            \
    PYMETAL_AIR_GROUP_LANE(group, shuffle_rotate_up, T, type)                                      \
    PYMETAL_AIR_GROUP_LANE(group, shuffle_rotate_down, T, type)                                    \
    PYMETAL_AIR_GROUP_FILL(group, shuffle_and_fill_up, T, type)                                    \
    PYMETAL_AIR_GROUP_FILL(group, shuffle_and_fill_down, T, type)
#define PYMETAL_AIR_GROUP_BITS(group, T, type)                                                     \
    PYMETAL_AIR_GROUP(group, T, type)                                                              \
    PYMETAL_AIR_GROUP_1(group, and, T, type)                                                       \
    PYMETAL_AIR_GROUP_1(group, or, T, type)                                                        \
    PYMETAL_AIR_GROUP_1(group, xor, T, type)
#define PYMETAL_AIR_GROUP_TYPES(group)                                                             \
    PYMETAL_AIR_GROUP(group, float, "f32")                                                         \
    PYMETAL_AIR_GROUP(group, half, "f16")                                                          \
    PYMETAL_AIR_GROUP(group, bfloat, "bf16")                                                       \
    PYMETAL_AIR_GROUP_BITS(group, signed char, "s.i8")                                             \
    PYMETAL_AIR_GROUP_BITS(group, uchar, "u.i8")                                                   \
    PYMETAL_AIR_GROUP_BITS(group, short, "s.i16")                                                  \
    PYMETAL_AIR_GROUP_BITS(group, ushort, "u.i16")                                                 \
    PYMETAL_AIR_GROUP_BITS(group, int, "s.i32")                                                    \
    PYMETAL_AIR_GROUP_BITS(group, uint, "u.i32")                                                   \
    PYMETAL_AIR_GROUP_BITS(group, long, "s.i64")                                                   \
    PYMETAL_AIR_GROUP_BITS(group, ulong, "u.i64")                                                  \
    bool group##_all(bool) __asm("air." #group "_all") PYMETAL_CONVERGENT;                         \
    bool group##_any(bool) __asm("air." #group "_any") PYMETAL_CONVERGENT;                         \
    bool group##_is_first() __asm("air." #group "_is_first") PYMETAL_CONVERGENT;                   \
    ulong group##_ballot(bool) __asm("air." #group "_ballot.i64") PYMETAL_CONVERGENT;              \
    ulong group##_active_threads_mask() __asm("air." #group "_active_threads_mask.i64")            \
        PYMETAL_CONVERGENT;
PYMETAL_AIR_GROUP_TYPES(simd)
PYMETAL_AIR_GROUP_TYPES(quad)
#undef PYMETAL_AIR_GROUP_TYPES
#undef PYMETAL_AIR_GROUP_BITS
#undef PYMETAL_AIR_GROUP
#undef PYMETAL_AIR_GROUP_FILL
#undef PYMETAL_AIR_GROUP_LANE
#undef PYMETAL_AIR_GROUP_1

// ---- 8x8 matrices spread over a simdgroup: two elements a lane --------------------------------

#define PYMETAL_AIR_MATRIX(T, type)                                                                \
    metal::vec<T, 2> matrix_load(const T*, ulong elements_per_row, metal::vec<ulong, 2> origin,    \
                                 bool transpose) __asm("air.simdgroup_matrix_8x8_load.v64" type    \
                                                       ".p1" type) PYMETAL_CONVERGENT;             \
    void matrix_store(metal::vec<T, 2>, T*, ulong elements_per_row, metal::vec<ulong, 2> origin,   \
                      bool transpose) __asm("air.simdgroup_matrix_8x8_store.v64" type ".p1" type)  \
        PYMETAL_CONVERGENT;                                                                        \
    metal::vec<T, 2> matrix_init_filled(T) __asm("air.simdgroup_matrix_8x8_init_filled.v64" type   \
                                                 "." type) PYMETAL_CONVERGENT;                     \
    metal::vec<T, 2> matrix_init_diag(T) __asm("air.simdgroup_matrix_8x8_init_diag.v64" type       \
                                               "." type) PYMETAL_CONVERGENT;
PYMETAL_AIR_MATRIX(float, "f32")
PYMETAL_AIR_MATRIX(half, "f16")
PYMETAL_AIR_MATRIX(bfloat, "bf16")
#undef PYMETAL_AIR_MATRIX

metal::vec<float, 2> matrix_multiply_accumulate(
    metal::vec<float, 2> a, metal::vec<float, 2> b,
    metal::vec<float, 2>
        c) __asm("air.simdgroup_matrix_8x8_multiply_accumulate.v64f32.v64f32.v64f32.v64f32")
    PYMETAL_CONVERGENT;

} // namespace pymetal::air
