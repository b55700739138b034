// The names of <simd/simd.h>, which sources shared between Metal and C++ use.
#pragma once
#pragma clang system_header
#include "pymetal_matrix.h"

namespace simd = metal;

#define PYMETAL_SIMD(T, name)                                                                      \
    typedef T simd_##name##1;                                                                      \
    typedef T##2 simd_##name##2, vector_##name##2;                                                 \
    typedef T##3 simd_##name##3, vector_##name##3;                                                 \
    typedef T##4 simd_##name##4, vector_##name##4;
PYMETAL_SIMD(char, char)
PYMETAL_SIMD(uchar, uchar)
PYMETAL_SIMD(short, short)
PYMETAL_SIMD(ushort, ushort)
PYMETAL_SIMD(int, int)
PYMETAL_SIMD(uint, uint)
PYMETAL_SIMD(long, long)
PYMETAL_SIMD(ulong, ulong)
PYMETAL_SIMD(half, half)
PYMETAL_SIMD(float, float)
#undef PYMETAL_SIMD

#define PYMETAL_SIMD(T)                                                                            \
    typedef T##2x2 simd_##T##2x2, matrix_##T##2x2;                                                 \
    typedef T##2x3 simd_##T##2x3, matrix_##T##2x3;                                                 \
    typedef T##2x4 simd_##T##2x4, matrix_##T##2x4;                                                 \
    typedef T##3x2 simd_##T##3x2, matrix_##T##3x2;                                                 \
    typedef T##3x3 simd_##T##3x3, matrix_##T##3x3;                                                 \
    typedef T##3x4 simd_##T##3x4, matrix_##T##3x4;                                                 \
    typedef T##4x2 simd_##T##4x2, matrix_##T##4x2;                                                 \
    typedef T##4x3 simd_##T##4x3, matrix_##T##4x3;                                                 \
    typedef T##4x4 simd_##T##4x4, matrix_##T##4x4;
PYMETAL_SIMD(half)
PYMETAL_SIMD(float)
#undef PYMETAL_SIMD
