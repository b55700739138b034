// Common functions: <metal_common>. Metal Shading Language Specification, section 6.2.
#pragma once
#pragma clang system_header
#include "pymetal_math.h"

namespace metal {

#define PYMETAL_COMMON(V)                                                                          \
    METAL_FUNC V clamp(V x, V low, V high) {                                                       \
        return fmin(fmax(x, low), high);                                                           \
    }                                                                                              \
    METAL_FUNC V saturate(V x) {                                                                   \
        return fmin(fmax(x, (V)0), (V)1);                                                          \
    }                                                                                              \
    METAL_FUNC V mix(V x, V y, V a) {                                                              \
        return x + (y - x) * a;                                                                    \
    }                                                                                              \
    METAL_FUNC V sign(V x) {                                                                       \
        return x > (V)0 ? (V)1 : x < (V)0 ? -(V)1 : x == (V)0 ? x : (V)0;                          \
    }                                                                                              \
    METAL_FUNC V step(V edge, V x) {                                                               \
        return x < edge ? (V)0 : (V)1;                                                             \
    }                                                                                              \
    METAL_FUNC V smoothstep(V edge0, V edge1, V x) {                                               \
        V t = saturate((x - edge0) / (edge1 - edge0));                                             \
        return t * t * ((V)3 - (V)2 * t);                                                          \
    }
PYMETAL_FLOATS(PYMETAL_COMMON)
#undef PYMETAL_COMMON
PYMETAL_BFLOAT(clamp, (T x, T low, T high), (float)x, (float)low, (float)high)
#undef PYMETAL_BFLOAT

// The fast variants may do as they like with a NaN; ours do as the precise ones.
namespace precise {
using metal::clamp;
using metal::saturate;
} // namespace precise
namespace fast {
using metal::clamp;
using metal::saturate;
} // namespace fast

} // namespace metal
