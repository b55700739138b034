// Angles in quarter turns: x = n pi/2 + r for floats of any size, by the method of Payne and Hanek
// ("Radian reduction for trigonometric functions", ACM SIGNUM Newsletter 18, 1983). Integers only,
// so that every processor gives the same bits.
#include "symbols.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace pymetal::cpu {

namespace {

__extension__ typedef unsigned __int128 Bits;
__extension__ typedef __int128 SignedBits;

// The binary digits of 2/pi after the point.
constexpr uint64_t kTwoOverPi[] = {
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
};

// 128 digits of 2/pi, the first of them of weight 2^-first, `first` up to 128. Before the point
// stand zeros.
Bits digits(int first) {
    if (first < 1)
        return first > -127 ? digits(1) >> (1 - first) : 0;
    const int word = (first - 1) / 64, bit = (first - 1) % 64;
    const Bits high = kTwoOverPi[word], middle = kTwoOverPi[word + 1], low = kTwoOverPi[word + 2];
    const Bits whole = high << 64 | middle;
    return bit == 0 ? whole : whole << bit | low >> (64 - bit);
}

struct Angle {
    double quarters; // the nearest whole number of quarter turns, modulo 4
    double rest;     // what is left, in radians
};

Angle reduce(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const int exponent = static_cast<int>(bits >> 23 & 0xff);
    if (exponent == 0xff) // infinity and NaN
        return {0, NAN};
    if (exponent < 127 - 12) // so small that nothing is to be taken off
        return {0, x};
    const uint32_t significand = (bits & 0x7fffff) | 0x800000;
    // |x| = significand 2^scale. Digits of weight 2^(2 - scale) and more make whole turns.
    const int scale = exponent - 127 - 23;
    const Bits quarters = significand * digits(scale - 1); // 126 digits after the point, modulo 4
    const unsigned nearest = static_cast<unsigned>((quarters + (Bits{1} << 125)) >> 126);
    const auto rest = static_cast<SignedBits>(quarters - (Bits{nearest} << 126));
    const double sign = std::signbit(x) ? -1 : 1;
    const double turns = std::ldexp(static_cast<double>(rest), -126);
    return {sign * nearest, sign * turns * (std::numbers::pi / 2)};
}

} // namespace

void add_turns_symbols(SymbolTable& table) {
    table.add("pymetal_quarter_turns", +[](float x) { return reduce(x).quarters; });
    table.add("pymetal_rest_of_turns", +[](float x) { return reduce(x).rest; });
}

} // namespace pymetal::cpu
