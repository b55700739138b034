// Integer functions: <metal_integer>. Metal Shading Language Specification, section 6.3.
//
// The scalar and vector forms share one expression; shifts take counts below the width, and sums
// that must not overflow are written so that they cannot.
#pragma once
#pragma clang system_header
#include "pymetal_overloads.h"

namespace metal {

// ---- any integer ------------------------------------------------------------------------------

#define PYMETAL_INTEGER(V)                                                                         \
    METAL_FUNC V max(V x, V y) {                                                                   \
        return __builtin_elementwise_max(x, y);                                                    \
    }                                                                                              \
    METAL_FUNC V min(V x, V y) {                                                                   \
        return __builtin_elementwise_min(x, y);                                                    \
    }                                                                                              \
    METAL_FUNC V max3(V x, V y, V z) {                                                             \
        return max(x, max(y, z));                                                                  \
    }                                                                                              \
    METAL_FUNC V min3(V x, V y, V z) {                                                             \
        return min(x, min(y, z));                                                                  \
    }                                                                                              \
    METAL_FUNC V median3(V x, V y, V z) {                                                          \
        return max(min(x, y), min(max(x, y), z));                                                  \
    }                                                                                              \
    METAL_FUNC V clamp(V x, V low, V high) {                                                       \
        return min(max(x, low), high);                                                             \
    }                                                                                              \
    METAL_FUNC V addsat(V x, V y) {                                                                \
        return __builtin_elementwise_add_sat(x, y);                                                \
    }                                                                                              \
    METAL_FUNC V subsat(V x, V y) {                                                                \
        return __builtin_elementwise_sub_sat(x, y);                                                \
    }                                                                                              \
    METAL_FUNC V hadd(V x, V y) {                                                                  \
        return (x & y) + ((x ^ y) >> (V)1);                                                        \
    }                                                                                              \
    METAL_FUNC V rhadd(V x, V y) {                                                                 \
        return (x | y) - ((x ^ y) >> (V)1);                                                        \
    }                                                                                              \
    METAL_FUNC V popcount(V x) {                                                                   \
        return __builtin_elementwise_popcount(x);                                                  \
    }                                                                                              \
    METAL_FUNC V reverse_bits(V x) {                                                               \
        return __builtin_elementwise_bitreverse(x);                                                \
    }
PYMETAL_INTEGERS(PYMETAL_INTEGER)
#undef PYMETAL_INTEGER

// INT_MIN has no absolute value: it stays.
#define PYMETAL_ABS(V)                                                                             \
    METAL_FUNC V abs(V x) {                                                                        \
        return __builtin_elementwise_abs(x);                                                       \
    }
PYMETAL_SIGNED(PYMETAL_ABS)
#undef PYMETAL_ABS
#define PYMETAL_ABS(V)                                                                             \
    METAL_FUNC V abs(V x) {                                                                        \
        return x;                                                                                  \
    }
PYMETAL_UNSIGNED(PYMETAL_ABS)
#undef PYMETAL_ABS

// V signed or unsigned, U the unsigned type of its width, bits the width of an element.
#define PYMETAL_BITS(V, U, bits)                                                                   \
    METAL_FUNC U absdiff(V x, V y) {                                                               \
        return x > y ? (U)x - (U)y : (U)y - (U)x;                                                  \
    }                                                                                              \
    METAL_FUNC V rotate(V x, V count) {                                                            \
        return (V)__builtin_elementwise_fshl((U)x, (U)x, (U)count);                                \
    }                                                                                              \
    METAL_FUNC V clz(V x) {                                                                        \
        return (V)__builtin_elementwise_clzg((U)x, (U)bits);                                       \
    }                                                                                              \
    METAL_FUNC V ctz(V x) {                                                                        \
        return (V)__builtin_elementwise_ctzg((U)x, (U)bits);                                       \
    }                                                                                              \
    METAL_FUNC V extract_bits(V x, uint offset, uint count) {                                      \
        uint above = (bits - count) & (bits - 1);                                                  \
        V field = (V)((U)x << (U)((above - offset) & (bits - 1))) >> (V)above;                     \
        return count == 0 ? (V)0 : field;                                                          \
    }                                                                                              \
    METAL_FUNC V insert_bits(V base, V insert, uint offset, uint count) {                          \
        U field = (U) ~(U)0 >> (U)((bits - count) & (bits - 1));                                   \
        U mask = count == 0 ? (U)0 : field << (U)(offset & (bits - 1));                            \
        return (V)(((U)base & ~mask) | (((U)insert << (U)(offset & (bits - 1))) & mask));          \
    }
#define PYMETAL_BITS_WIDTHS(T, U, bits)                                                            \
    PYMETAL_BITS(T, U, bits)                                                                       \
    PYMETAL_BITS(T##2, U##2, bits)                                                                 \
    PYMETAL_BITS(T##3, U##3, bits)                                                                 \
    PYMETAL_BITS(T##4, U##4, bits)
PYMETAL_BITS_WIDTHS(char, uchar, 8)
PYMETAL_BITS_WIDTHS(uchar, uchar, 8)
PYMETAL_BITS_WIDTHS(short, ushort, 16)
PYMETAL_BITS_WIDTHS(ushort, ushort, 16)
PYMETAL_BITS_WIDTHS(int, uint, 32)
PYMETAL_BITS_WIDTHS(uint, uint, 32)
PYMETAL_BITS_WIDTHS(long, ulong, 64)
PYMETAL_BITS_WIDTHS(ulong, ulong, 64)
#undef PYMETAL_BITS_WIDTHS
#undef PYMETAL_BITS

// ---- products: in twice the width -------------------------------------------------------------

// W holds the product of two T and a sum with a third: twice as wide, of the same sign.
#define PYMETAL_PRODUCTS(T, W, bits, lowest, highest)                                              \
    METAL_FUNC T mulhi(T x, T y) {                                                                 \
        return (T)((W)x * (W)y >> bits);                                                           \
    }                                                                                              \
    METAL_FUNC T madsat(T a, T b, T c) {                                                           \
        W sum = (W)a * (W)b + (W)c;                                                                \
        return (T)(sum<(W)lowest ? (W)lowest : sum>(W) highest ? (W)highest : sum);                \
    }
PYMETAL_PRODUCTS(char, int, 8, -128, 127)
PYMETAL_PRODUCTS(uchar, uint, 8, 0, 255)
PYMETAL_PRODUCTS(short, int, 16, -32768, 32767)
PYMETAL_PRODUCTS(ushort, uint, 16, 0, 65535)
PYMETAL_PRODUCTS(int, long, 32, -2147483648L, 2147483647)
PYMETAL_PRODUCTS(uint, ulong, 32, 0, 4294967295)
#undef PYMETAL_PRODUCTS

// By halves of 32 bits: 128-bit integers are beyond the vectoriser.
METAL_FUNC ulong mulhi(ulong x, ulong y) {
    ulong xl = x & 0xffffffff, xh = x >> 32, yl = y & 0xffffffff, yh = y >> 32;
    ulong middle = xh * yl + (xl * yl >> 32);
    ulong low = xl * yh + (middle & 0xffffffff);
    return xh * yh + (middle >> 32) + (low >> 32);
}
METAL_FUNC long mulhi(long x, long y) {
    ulong high = mulhi((ulong)x, (ulong)y);
    return (long)(high - (x < 0 ? (ulong)y : 0) - (y < 0 ? (ulong)x : 0));
}
METAL_FUNC ulong madsat(ulong a, ulong b, ulong c) {
    ulong low = a * b + c;
    ulong high = mulhi(a, b) + (low < c);
    return high != 0 ? ~0UL : low;
}
METAL_FUNC long madsat(long a, long b, long c) {
    ulong low = (ulong)a * (ulong)b + (ulong)c;
    long high = mulhi(a, b) + (c >> 63) + (low < (ulong)c);
    bool fits = high == (long)low >> 63;
    return fits ? (long)low : high < 0 ? -9223372036854775807L - 1 : 9223372036854775807L;
}

#define PYMETAL_MADHI(T)                                                                           \
    PYMETAL_BY_COMPONENT_2(T, mulhi, T)                                                            \
    PYMETAL_BY_COMPONENT_3(T, madsat, T)
PYMETAL_MADHI(char)
PYMETAL_MADHI(uchar)
PYMETAL_MADHI(short)
PYMETAL_MADHI(ushort)
PYMETAL_MADHI(int)
PYMETAL_MADHI(uint)
PYMETAL_MADHI(long)
PYMETAL_MADHI(ulong)
#undef PYMETAL_MADHI
// The sum wraps, also where it is signed.
#define PYMETAL_MADHI(V, U)                                                                        \
    METAL_FUNC V madhi(V a, V b, V c) {                                                            \
        return (V)((U)mulhi(a, b) + (U)c);                                                         \
    }
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, char, uchar)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, uchar, uchar)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, short, ushort)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, ushort, ushort)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, int, uint)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, uint, uint)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, long, ulong)
PYMETAL_WIDTHS_OF_2(PYMETAL_MADHI, ulong, ulong)
#undef PYMETAL_MADHI

// Only the low 24 bits of the factors count.
#define PYMETAL_24(V, U)                                                                           \
    METAL_FUNC V mul24(V x, V y) {                                                                 \
        return (V)((U)((V)((U)x << (U)8) >> (V)8) * (U)((V)((U)y << (U)8) >> (V)8));               \
    }                                                                                              \
    METAL_FUNC V mad24(V x, V y, V z) {                                                            \
        return (V)((U)mul24(x, y) + (U)z);                                                         \
    }
PYMETAL_WIDTHS_OF_2(PYMETAL_24, int, uint)
PYMETAL_WIDTHS_OF_2(PYMETAL_24, uint, uint)
#undef PYMETAL_24

} // namespace metal
