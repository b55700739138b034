// Packing vectors into integers and back: <metal_pack>. Metal Shading Language Specification,
// sections 6.14 (functions) and 8.7 (conversions): NaN packs as 0, values clamp to the range, and
// round to nearest even; the first component takes the lowest bits.
#pragma once
#pragma clang system_header
#include "pymetal_math.h"

namespace pymetal {

// One component to and from an integer of `bits` bits: unorm is [0, 1], snorm is [-1, 1].
METAL_FUNC uint to_unorm(float x, uint bits) {
    float top = (float)((1u << bits) - 1);
    float clamped = x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; // NaN is not > 0
    return (uint)__builtin_elementwise_rint(clamped * top);
}
METAL_FUNC uint to_snorm(float x, uint bits) {
    float top = (float)((1u << (bits - 1)) - 1);
    float number = x == x ? x : 0.0f;
    float clamped = number > -1.0f ? (number < 1.0f ? number : 1.0f) : -1.0f;
    return (uint)(int)__builtin_elementwise_rint(clamped * top) & ((1u << bits) - 1);
}
METAL_FUNC float from_unorm(uint x, uint offset, uint bits) {
    uint top = (1u << bits) - 1;
    return (float)(x >> offset & top) / (float)top;
}
METAL_FUNC float from_snorm(uint x, uint offset, uint bits) {
    int field = (int)(x << (32 - bits - offset)) >> (32 - bits);
    float value = (float)field / (float)((1u << (bits - 1)) - 1);
    return value < -1.0f ? -1.0f : value;
}

METAL_FUNC float linear_to_srgb(float x) {
    float c = x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
    return c < 0.0031308f ? 12.92f * c : 1.055f * metal::precise::pow(c, 1.0f / 2.4f) - 0.055f;
}
METAL_FUNC float srgb_to_linear(float x) {
    return x <= 0.04045f ? x / 12.92f : metal::precise::pow((x + 0.055f) / 1.055f, 2.4f);
}

} // namespace pymetal

namespace metal {

// F: float or half, spelt also in the names.
#define PYMETAL_PACK(F)                                                                            \
    METAL_FUNC uint pack_##F##_to_unorm4x8(F##4 x) {                                               \
        return pymetal::to_unorm(x.x, 8) | pymetal::to_unorm(x.y, 8) << 8 |                        \
               pymetal::to_unorm(x.z, 8) << 16 | pymetal::to_unorm(x.w, 8) << 24;                  \
    }                                                                                              \
    METAL_FUNC uint pack_##F##_to_snorm4x8(F##4 x) {                                               \
        return pymetal::to_snorm(x.x, 8) | pymetal::to_snorm(x.y, 8) << 8 |                        \
               pymetal::to_snorm(x.z, 8) << 16 | pymetal::to_snorm(x.w, 8) << 24;                  \
    }                                                                                              \
    METAL_FUNC uint pack_##F##_to_srgb_unorm4x8(F##4 x) {                                          \
        return pymetal::to_unorm(pymetal::linear_to_srgb(x.x), 8) |                                \
               pymetal::to_unorm(pymetal::linear_to_srgb(x.y), 8) << 8 |                           \
               pymetal::to_unorm(pymetal::linear_to_srgb(x.z), 8) << 16 |                          \
               pymetal::to_unorm(x.w, 8) << 24;                                                    \
    }                                                                                              \
    METAL_FUNC uint pack_##F##_to_unorm2x16(F##2 x) {                                              \
        return pymetal::to_unorm(x.x, 16) | pymetal::to_unorm(x.y, 16) << 16;                      \
    }                                                                                              \
    METAL_FUNC uint pack_##F##_to_snorm2x16(F##2 x) {                                              \
        return pymetal::to_snorm(x.x, 16) | pymetal::to_snorm(x.y, 16) << 16;                      \
    }                                                                                              \
    METAL_FUNC uint pack_##F##_to_unorm10a2(F##4 x) {                                              \
        return pymetal::to_unorm(x.x, 10) | pymetal::to_unorm(x.y, 10) << 10 |                     \
               pymetal::to_unorm(x.z, 10) << 20 | pymetal::to_unorm(x.w, 2) << 30;                 \
    }                                                                                              \
    METAL_FUNC uint pack_##F##_to_snorm10a2(F##4 x) {                                              \
        return pymetal::to_snorm(x.x, 10) | pymetal::to_snorm(x.y, 10) << 10 |                     \
               pymetal::to_snorm(x.z, 10) << 20 | pymetal::to_snorm(x.w, 2) << 30;                 \
    }                                                                                              \
    METAL_FUNC ushort pack_##F##_to_unorm565(F##3 x) { /* red takes the highest bits */            \
        return (ushort)(pymetal::to_unorm(x.x, 5) << 11 | pymetal::to_unorm(x.y, 6) << 5 |         \
                        pymetal::to_unorm(x.z, 5));                                                \
    }                                                                                              \
    METAL_FUNC F##4 unpack_unorm4x8_to_##F(uint x) {                                               \
        return F##4 {(F)pymetal::from_unorm(x, 0, 8), (F)pymetal::from_unorm(x, 8, 8),             \
                     (F)pymetal::from_unorm(x, 16, 8), (F)pymetal::from_unorm(x, 24, 8)};          \
    }                                                                                              \
    METAL_FUNC F##4 unpack_snorm4x8_to_##F(uint x) {                                               \
        return F##4 {(F)pymetal::from_snorm(x, 0, 8), (F)pymetal::from_snorm(x, 8, 8),             \
                     (F)pymetal::from_snorm(x, 16, 8), (F)pymetal::from_snorm(x, 24, 8)};          \
    }                                                                                              \
    METAL_FUNC F##4 unpack_unorm4x8_srgb_to_##F(uint x) {                                          \
        return F##4 {(F)pymetal::srgb_to_linear(pymetal::from_unorm(x, 0, 8)),                     \
                     (F)pymetal::srgb_to_linear(pymetal::from_unorm(x, 8, 8)),                     \
                     (F)pymetal::srgb_to_linear(pymetal::from_unorm(x, 16, 8)),                    \
                     (F)pymetal::from_unorm(x, 24, 8)};                                            \
    }                                                                                              \
    METAL_FUNC F##2 unpack_unorm2x16_to_##F(uint x) {                                              \
        return F##2 {(F)pymetal::from_unorm(x, 0, 16), (F)pymetal::from_unorm(x, 16, 16)};         \
    }                                                                                              \
    METAL_FUNC F##2 unpack_snorm2x16_to_##F(uint x) {                                              \
        return F##2 {(F)pymetal::from_snorm(x, 0, 16), (F)pymetal::from_snorm(x, 16, 16)};         \
    }                                                                                              \
    METAL_FUNC F##4 unpack_unorm10a2_to_##F(uint x) {                                              \
        return F##4 {(F)pymetal::from_unorm(x, 0, 10), (F)pymetal::from_unorm(x, 10, 10),          \
                     (F)pymetal::from_unorm(x, 20, 10), (F)pymetal::from_unorm(x, 30, 2)};         \
    }                                                                                              \
    METAL_FUNC F##4 unpack_snorm10a2_to_##F(uint x) {                                              \
        return F##4 {(F)pymetal::from_snorm(x, 0, 10), (F)pymetal::from_snorm(x, 10, 10),          \
                     (F)pymetal::from_snorm(x, 20, 10), (F)pymetal::from_snorm(x, 30, 2)};         \
    }                                                                                              \
    METAL_FUNC F##3 unpack_unorm565_to_##F(ushort x) {                                             \
        return F##3 {(F)pymetal::from_unorm(x, 11, 5), (F)pymetal::from_unorm(x, 5, 6),            \
                     (F)pymetal::from_unorm(x, 0, 5)};                                             \
    }
PYMETAL_PACK(float)
PYMETAL_PACK(half)
#undef PYMETAL_PACK

} // namespace metal
