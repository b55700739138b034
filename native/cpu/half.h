// half and bfloat as bits: conversions to and from float, rounding to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace pymetal::cpu {

inline float half_to_float(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1f;
    const uint32_t fraction = bits & 0x3ff;
    if (exponent == 0) { // zero and subnormal: fraction * 2^-24 is exact in float
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
    }
    if (exponent == 31) { // infinity; a NaN becomes quiet and keeps its payload
        const uint32_t quiet = fraction != 0 ? 0x400000u : 0;
        return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13 | quiet);
    }
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// Rounds a finite or non-finite `Bits` float (`Fraction` fraction bits, `Bias`) to half at once, so
// that a double is not rounded twice.
template <typename Bits, int Fraction, int Bias>
inline uint16_t round_to_half(Bits bits) {
    constexpr int kWidth = static_cast<int>(sizeof(Bits)) * 8;
    const auto sign = static_cast<uint16_t>(bits >> (kWidth - 16) & 0x8000);
    const Bits magnitude = bits & ~(Bits{1} << (kWidth - 1));
    const int exponent = static_cast<int>(magnitude >> Fraction);
    const Bits fraction = magnitude & ((Bits{1} << Fraction) - 1);
    if (exponent == 2 * Bias + 1) {
        const uint16_t payload =
            fraction != 0 ? 0x200 | static_cast<uint16_t>(fraction >> (Fraction - 10)) : 0;
        return sign | 0x7c00 | payload;
    }
    int scale = exponent - Bias; // value = significand * 2^(scale - Fraction)
    const Bits significand = fraction | Bits{1} << Fraction;
    if (scale > 15)
        return sign | 0x7c00;
    if (scale < -25 || exponent == 0)
        return sign; // below half of the smallest subnormal
    // Bits to drop: a normal half keeps 10 below the leading one, a subnormal fewer.
    const int drop = Fraction - 10 + (scale < -14 ? -14 - scale : 0);
    Bits kept = significand >> drop;
    const Bits rest = significand & ((Bits{1} << drop) - 1);
    const Bits tie = Bits{1} << (drop - 1);
    if (rest > tie || (rest == tie && (kept & 1) != 0))
        ++kept; // a carry runs into the exponent, up to infinity, as it should
    const uint16_t base = scale < -14 ? 0 : static_cast<uint16_t>((scale + 14) << 10);
    return sign | static_cast<uint16_t>(base + kept);
}

inline uint16_t float_to_half(float value) {
    return round_to_half<uint32_t, 23, 127>(std::bit_cast<uint32_t>(value));
}

inline uint16_t double_to_half(double value) {
    return round_to_half<uint64_t, 52, 1023>(std::bit_cast<uint64_t>(value));
}

inline float bfloat_to_float(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t float_to_bfloat(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return static_cast<uint16_t>(bits >> 16 | 0x40); // NaN stays NaN, quiet
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

} // namespace pymetal::cpu
