// Relational functions: <metal_relational>. Metal Shading Language Specification, section 6.4.
//
// A comparison of vectors is a mask (int4 of 0 and -1, say), which converts to boolN by itself, so
// that both masks and bool vectors are arguments here. not(x) is C++'s own word for !x.
#pragma once
#pragma clang system_header
#include "pymetal_overloads.h"

namespace metal {

METAL_FUNC bool all(bool x) {
    return x;
}
METAL_FUNC bool any(bool x) {
    return x;
}
METAL_FUNC bool all(bool2 x) {
    return x[0] && x[1];
}
METAL_FUNC bool any(bool2 x) {
    return x[0] || x[1];
}
METAL_FUNC bool all(bool3 x) {
    return x[0] && x[1] && x[2];
}
METAL_FUNC bool any(bool3 x) {
    return x[0] || x[1] || x[2];
}
METAL_FUNC bool all(bool4 x) {
    return x[0] && x[1] && x[2] && x[3];
}
METAL_FUNC bool any(bool4 x) {
    return x[0] || x[1] || x[2] || x[3];
}

// By the bits. (In the fast math mode clang may still assume that arguments are finite.)
// I: a signed integer as wide as a lane, which compares to a mask of the vector's own width.
#define PYMETAL_CLASSIFY_1(V, B, I, EXPONENT, MAGNITUDE, NORMAL)                                   \
    METAL_FUNC B isinf(V x) {                                                                      \
        return (as_type<I>(x) & (I)MAGNITUDE) == (I)EXPONENT;                                      \
    }                                                                                              \
    METAL_FUNC B isnan(V x) {                                                                      \
        return (as_type<I>(x) & (I)MAGNITUDE) > (I)EXPONENT;                                       \
    }                                                                                              \
    METAL_FUNC B isfinite(V x) {                                                                   \
        return (as_type<I>(x) & (I)MAGNITUDE) < (I)EXPONENT;                                       \
    }                                                                                              \
    METAL_FUNC B isnormal(V x) {                                                                   \
        I magnitude = as_type<I>(x) & (I)MAGNITUDE;                                                \
        return (magnitude >= (I)NORMAL) & (magnitude < (I)EXPONENT);                               \
    }                                                                                              \
    METAL_FUNC B signbit(V x) {                                                                    \
        return as_type<I>(x) < (I)0;                                                               \
    }                                                                                              \
    METAL_FUNC B isunordered(V x, V y) {                                                           \
        return ((as_type<I>(x) & (I)MAGNITUDE) > (I)EXPONENT) |                                    \
               ((as_type<I>(y) & (I)MAGNITUDE) > (I)EXPONENT);                                     \
    }                                                                                              \
    METAL_FUNC B isordered(V x, V y) {                                                             \
        return ((as_type<I>(x) & (I)MAGNITUDE) <= (I)EXPONENT) &                                   \
               ((as_type<I>(y) & (I)MAGNITUDE) <= (I)EXPONENT);                                    \
    }
#define PYMETAL_CLASSIFY(T, I, EXPONENT, MAGNITUDE, NORMAL)                                        \
    PYMETAL_CLASSIFY_1(T, bool, I, EXPONENT, MAGNITUDE, NORMAL)                                    \
    PYMETAL_CLASSIFY_1(T##2, bool2, I##2, EXPONENT, MAGNITUDE, NORMAL)                             \
    PYMETAL_CLASSIFY_1(T##3, bool3, I##3, EXPONENT, MAGNITUDE, NORMAL)                             \
    PYMETAL_CLASSIFY_1(T##4, bool4, I##4, EXPONENT, MAGNITUDE, NORMAL)
PYMETAL_CLASSIFY(float, int, 0x7f800000, 0x7fffffff, 0x00800000)
PYMETAL_CLASSIFY(half, short, 0x7c00, 0x7fff, 0x0400)
PYMETAL_CLASSIFY(bfloat, short, 0x7f80, 0x7fff, 0x0080)
#undef PYMETAL_CLASSIFY
#undef PYMETAL_CLASSIFY_1

#define PYMETAL_SELECT(T)                                                                          \
    METAL_FUNC T select(T a, T b, bool c) {                                                        \
        return c ? b : a;                                                                          \
    }                                                                                              \
    METAL_FUNC T##2 select(T##2 a, T##2 b, bool2 c) {                                              \
        return T##2 {c[0] ? b[0] : a[0], c[1] ? b[1] : a[1]};                                      \
    }                                                                                              \
    METAL_FUNC T##3 select(T##3 a, T##3 b, bool3 c) {                                              \
        return T##3 {c[0] ? b[0] : a[0], c[1] ? b[1] : a[1], c[2] ? b[2] : a[2]};                  \
    }                                                                                              \
    METAL_FUNC T##4 select(T##4 a, T##4 b, bool4 c) {                                              \
        return T##4 {c[0] ? b[0] : a[0], c[1] ? b[1] : a[1], c[2] ? b[2] : a[2],                   \
                     c[3] ? b[3] : a[3]};                                                          \
    }
PYMETAL_SELECT(bool)
PYMETAL_SELECT(char)
PYMETAL_SELECT(uchar)
PYMETAL_SELECT(short)
PYMETAL_SELECT(ushort)
PYMETAL_SELECT(int)
PYMETAL_SELECT(uint)
PYMETAL_SELECT(long)
PYMETAL_SELECT(ulong)
PYMETAL_SELECT(float)
PYMETAL_SELECT(half)
PYMETAL_SELECT(bfloat)
#undef PYMETAL_SELECT

} // namespace metal
