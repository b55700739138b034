// The scalar and vector types that the library's functions are overloaded on, as lists for macros.
//
// Functions are plain overloads, not templates: calls then convert their arguments, and are
// ambiguous, where Apple's are, and what has a conversion operator (packed vectors) works too.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

// DEFINE(V) for a scalar type and its vectors.
#define PYMETAL_WIDTHS(DEFINE, T) DEFINE(T) DEFINE(T##2) DEFINE(T##3) DEFINE(T##4)
// DEFINE(V, W) for two scalar types side by side, say float and int.
#define PYMETAL_WIDTHS_OF_2(DEFINE, T, U)                                                          \
    DEFINE(T, U) DEFINE(T##2, U##2) DEFINE(T##3, U##3) DEFINE(T##4, U##4)

#define PYMETAL_FLOATS(DEFINE) PYMETAL_WIDTHS(DEFINE, float) PYMETAL_WIDTHS(DEFINE, half)
#define PYMETAL_SIGNED(DEFINE)                                                                     \
    PYMETAL_WIDTHS(DEFINE, char)                                                                   \
    PYMETAL_WIDTHS(DEFINE, short)                                                                  \
    PYMETAL_WIDTHS(DEFINE, int)                                                                    \
    PYMETAL_WIDTHS(DEFINE, long)
#define PYMETAL_UNSIGNED(DEFINE)                                                                   \
    PYMETAL_WIDTHS(DEFINE, uchar)                                                                  \
    PYMETAL_WIDTHS(DEFINE, ushort)                                                                 \
    PYMETAL_WIDTHS(DEFINE, uint)                                                                   \
    PYMETAL_WIDTHS(DEFINE, ulong)
#define PYMETAL_INTEGERS(DEFINE) PYMETAL_SIGNED(DEFINE) PYMETAL_UNSIGNED(DEFINE)

// The vector overloads of a function of one, two or three arguments, component by component: the
// scalar overload stands above. R is the element type of the result, A that of the arguments.
#define PYMETAL_BY_COMPONENT_1(R, name, A)                                                         \
    METAL_FUNC R##2 name(A##2 x) {                                                                 \
        return R##2 {name(x.x), name(x.y)};                                                        \
    }                                                                                              \
    METAL_FUNC R##3 name(A##3 x) {                                                                 \
        return R##3 {name(x.x), name(x.y), name(x.z)};                                             \
    }                                                                                              \
    METAL_FUNC R##4 name(A##4 x) {                                                                 \
        return R##4 {name(x.x), name(x.y), name(x.z), name(x.w)};                                  \
    }
#define PYMETAL_BY_COMPONENT_2(R, name, A)                                                         \
    METAL_FUNC R##2 name(A##2 x, A##2 y) {                                                         \
        return R##2 {name(x.x, y.x), name(x.y, y.y)};                                              \
    }                                                                                              \
    METAL_FUNC R##3 name(A##3 x, A##3 y) {                                                         \
        return R##3 {name(x.x, y.x), name(x.y, y.y), name(x.z, y.z)};                              \
    }                                                                                              \
    METAL_FUNC R##4 name(A##4 x, A##4 y) {                                                         \
        return R##4 {name(x.x, y.x), name(x.y, y.y), name(x.z, y.z), name(x.w, y.w)};              \
    }
#define PYMETAL_BY_COMPONENT_3(R, name, A)                                                         \
    METAL_FUNC R##2 name(A##2 x, A##2 y, A##2 z) {                                                 \
        return R##2 {name(x.x, y.x, z.x), name(x.y, y.y, z.y)};                                    \
    }                                                                                              \
    METAL_FUNC R##3 name(A##3 x, A##3 y, A##3 z) {                                                 \
        return R##3 {name(x.x, y.x, z.x), name(x.y, y.y, z.y), name(x.z, y.z, z.z)};               \
    }                                                                                              \
    METAL_FUNC R##4 name(A##4 x, A##4 y, A##4 z) {                                                 \
        return R##4 {name(x.x, y.x, z.x), name(x.y, y.y, z.y), name(x.z, y.z, z.z),                \
                     name(x.w, y.w, z.w)};                                                         \
    }

namespace pymetal {
// half is computed in float and rounded once: widen(half) is float, narrow(float) is half.
#define PYMETAL_WIDEN(H, F)                                                                        \
    METAL_FUNC F widen(H x) {                                                                      \
        return __builtin_convertvector(x, F);                                                      \
    }                                                                                              \
    METAL_FUNC H narrow(F x) {                                                                     \
        return __builtin_convertvector(x, H);                                                      \
    }
METAL_FUNC float widen(half x) {
    return (float)x;
}
METAL_FUNC half narrow(float x) {
    return (half)x;
}
PYMETAL_WIDEN(half2, float2)
PYMETAL_WIDEN(half3, float3)
PYMETAL_WIDEN(half4, float4)
#undef PYMETAL_WIDEN

template <class T>
using only_bfloat = typename enable_if<same<T, bfloat>, int>::type;
} // namespace pymetal

// The half overloads of a function whose float overloads stand above.
#define PYMETAL_HALF_1(name)                                                                       \
    METAL_FUNC half name(half x) {                                                                 \
        return pymetal::narrow(name(pymetal::widen(x)));                                           \
    }                                                                                              \
    METAL_FUNC half2 name(half2 x) {                                                               \
        return pymetal::narrow(name(pymetal::widen(x)));                                           \
    }                                                                                              \
    METAL_FUNC half3 name(half3 x) {                                                               \
        return pymetal::narrow(name(pymetal::widen(x)));                                           \
    }                                                                                              \
    METAL_FUNC half4 name(half4 x) {                                                               \
        return pymetal::narrow(name(pymetal::widen(x)));                                           \
    }
#define PYMETAL_HALF_2_OF(name, V)                                                                 \
    METAL_FUNC V name(V x, V y) {                                                                  \
        return pymetal::narrow(name(pymetal::widen(x), pymetal::widen(y)));                        \
    }
#define PYMETAL_HALF_2(name)                                                                       \
    PYMETAL_HALF_2_OF(name, half)                                                                  \
    PYMETAL_HALF_2_OF(name, half2) PYMETAL_HALF_2_OF(name, half3) PYMETAL_HALF_2_OF(name, half4)
