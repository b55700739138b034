// Geometric functions: <metal_geometric>. Metal Shading Language Specification, section 6.8.
// T is floatN or halfN; half is computed in float and rounded once.
#pragma once
#pragma clang system_header
#include "pymetal_math.h"

namespace metal {

METAL_FUNC float dot(float2 x, float2 y) {
    return x.x * y.x + x.y * y.y;
}
METAL_FUNC float dot(float3 x, float3 y) {
    return x.x * y.x + x.y * y.y + x.z * y.z;
}
METAL_FUNC float dot(float4 x, float4 y) {
    return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
METAL_FUNC float3 cross(float3 x, float3 y) {
    return x.yzx * y.zxy - x.zxy * y.yzx;
}
METAL_FUNC half3 cross(half3 x, half3 y) {
    return pymetal::narrow(cross(pymetal::widen(x), pymetal::widen(y)));
}

#define PYMETAL_GEOMETRIC(V)                                                                       \
    METAL_FUNC float length_squared(V x) {                                                         \
        return dot(x, x);                                                                          \
    }                                                                                              \
    METAL_FUNC float distance_squared(V x, V y) {                                                  \
        return dot(x - y, x - y);                                                                  \
    }                                                                                              \
    METAL_FUNC V faceforward(V n, V i, V nref) {                                                   \
        return dot(nref, i) < 0.0f ? n : -n;                                                       \
    }                                                                                              \
    METAL_FUNC V reflect(V i, V n) {                                                               \
        return i - n * (2.0f * dot(n, i));                                                         \
    }                                                                                              \
    METAL_FUNC V refract(V i, V n, float eta) {                                                    \
        float cosine = dot(n, i);                                                                  \
        float k = 1.0f - eta * eta * (1.0f - cosine * cosine);                                     \
        if (k < 0.0f)                                                                              \
            return (V)0.0f; /* total reflection */                                                 \
        return i * eta - n * (eta * cosine + sqrt(k));                                             \
    }
PYMETAL_GEOMETRIC(float2)
PYMETAL_GEOMETRIC(float3)
PYMETAL_GEOMETRIC(float4)
#undef PYMETAL_GEOMETRIC

#define PYMETAL_GEOMETRIC(V)                                                                       \
    METAL_FUNC half dot(V x, V y) {                                                                \
        return (half)dot(pymetal::widen(x), pymetal::widen(y));                                    \
    }                                                                                              \
    METAL_FUNC half length_squared(V x) {                                                          \
        return dot(x, x);                                                                          \
    }                                                                                              \
    METAL_FUNC half distance_squared(V x, V y) {                                                   \
        return length_squared(x - y);                                                              \
    }                                                                                              \
    METAL_FUNC V faceforward(V n, V i, V nref) {                                                   \
        return dot(nref, i) < (half)0 ? n : -n;                                                    \
    }                                                                                              \
    METAL_FUNC V reflect(V i, V n) {                                                               \
        return pymetal::narrow(reflect(pymetal::widen(i), pymetal::widen(n)));                     \
    }                                                                                              \
    METAL_FUNC V refract(V i, V n, half eta) {                                                     \
        return pymetal::narrow(refract(pymetal::widen(i), pymetal::widen(n), (float)eta));         \
    }
PYMETAL_GEOMETRIC(half2)
PYMETAL_GEOMETRIC(half3)
PYMETAL_GEOMETRIC(half4)
#undef PYMETAL_GEOMETRIC

// Variants in the precision of their square root.
#define PYMETAL_LENGTH(V)                                                                          \
    METAL_FUNC float length(V x) {                                                                 \
        return sqrt(dot(x, x));                                                                    \
    }                                                                                              \
    METAL_FUNC float distance(V x, V y) {                                                          \
        return length(x - y);                                                                      \
    }                                                                                              \
    METAL_FUNC V normalize(V x) {                                                                  \
        return x * rsqrt(dot(x, x));                                                               \
    }
#define PYMETAL_LENGTH_OF_HALF(V)                                                                  \
    METAL_FUNC half length(V x) {                                                                  \
        return (half)length(pymetal::widen(x));                                                    \
    }                                                                                              \
    METAL_FUNC half distance(V x, V y) {                                                           \
        return length(x - y);                                                                      \
    }                                                                                              \
    METAL_FUNC V normalize(V x) {                                                                  \
        return pymetal::narrow(normalize(pymetal::widen(x)));                                      \
    }
#define PYMETAL_LENGTHS                                                                            \
    PYMETAL_LENGTH(float2)                                                                         \
    PYMETAL_LENGTH(float3)                                                                         \
    PYMETAL_LENGTH(float4)                                                                         \
    PYMETAL_LENGTH_OF_HALF(half2)                                                                  \
    PYMETAL_LENGTH_OF_HALF(half3)                                                                  \
    PYMETAL_LENGTH_OF_HALF(half4)
namespace precise {
PYMETAL_LENGTHS
}
namespace fast {
PYMETAL_LENGTHS
}
#undef PYMETAL_LENGTHS
#undef PYMETAL_LENGTH_OF_HALF
#undef PYMETAL_LENGTH
using PYMETAL_MATH_MODE::distance;
using PYMETAL_MATH_MODE::length;
using PYMETAL_MATH_MODE::normalize;

} // namespace metal
