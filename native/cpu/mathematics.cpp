// Mathematical functions of compiled kernels: the C library's where it has them, under the names
// that LLVM's intrinsics and reference.py call.
#include "half.h"
#include "symbols.h"

#include <cmath>
#include <numbers>

namespace pymetal::cpu {

namespace {

// x modulo 2 in [-1, 1], exactly; sin and cos of pi * x have period 2.
double half_turns(float x) {
    return std::remainder(static_cast<double>(x), 2.0);
}

float sinpi(float x) {
    if (x == std::trunc(x))
        return std::copysign(0.0f, x) * (std::isinf(x) ? NAN : 1.0f);
    return static_cast<float>(std::sin(half_turns(x) * std::numbers::pi));
}

float cospi(float x) {
    const double turns = half_turns(x);
    if (std::fabs(turns) == 0.5)
        return 0.0f;
    return static_cast<float>(std::cos(turns * std::numbers::pi));
}

float tanpi(float x) {
    return sinpi(x) / cospi(x);
}

float rsqrt(float x) {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}

float exp10(float x) {
    return static_cast<float>(std::pow(10.0, static_cast<double>(x)));
}

// Metal's powr: pow for a base that is not negative, NaN otherwise and where exp(y log x) has it.
float powr(float x, float y) {
    const bool undefined = x < 0 || std::isnan(x) || std::isnan(y) || (x == 0 && y == 0) ||
                           (std::isinf(x) && y == 0) || (x == 1 && std::isinf(y));
    return undefined ? NAN : std::pow(std::fabs(x), y); // -0 counts as 0
}

// The neighbour of a half, given and returned as bits.
uint16_t nextafter_half(uint16_t from, uint16_t to) {
    const float x = half_to_float(from), y = half_to_float(to);
    if (std::isnan(x) || std::isnan(y))
        return 0x7e00;
    if (x == y)
        return to;
    if (x == 0)
        return static_cast<uint16_t>((to & 0x8000) | 1);
    return static_cast<uint16_t>((x < y) == (x > 0) ? from + 1 : from - 1);
}

uint16_t nextafter_bfloat(uint16_t from, uint16_t to) {
    const float x = bfloat_to_float(from), y = bfloat_to_float(to);
    if (std::isnan(x) || std::isnan(y))
        return 0x7fc0;
    if (x == y)
        return to;
    if (x == 0)
        return static_cast<uint16_t>((to & 0x8000) | 1);
    return static_cast<uint16_t>((x < y) == (x > 0) ? from + 1 : from - 1);
}

} // namespace

void add_mathematics_symbols(SymbolTable& table) {
#define ONE(name) table.add(#name "f", +[](float x) { return std::name(x); })
#define TWO(name) table.add(#name "f", +[](float x, float y) { return std::name(x, y); })
    ONE(sin);
    ONE(cos);
    ONE(tan);
    ONE(asin);
    ONE(acos);
    ONE(atan);
    ONE(sinh);
    ONE(cosh);
    ONE(tanh);
    ONE(asinh);
    ONE(acosh);
    ONE(atanh);
    ONE(exp);
    ONE(exp2);
    ONE(expm1);
    ONE(log);
    ONE(log2);
    ONE(log10);
    ONE(log1p);
    ONE(sqrt);
    ONE(cbrt);
    ONE(erf);
    ONE(erfc);
    ONE(tgamma);
    ONE(lgamma);
    ONE(floor);
    ONE(ceil);
    ONE(trunc);
    ONE(round);
    ONE(rint);
    ONE(nearbyint);
    ONE(fabs);
    ONE(logb);
    TWO(atan2);
    TWO(pow);
    TWO(fmod);
    TWO(remainder);
    TWO(hypot);
    TWO(fdim);
    TWO(fmin);
    TWO(fmax);
    TWO(copysign);
    TWO(nextafter);
#undef ONE
#undef TWO
    table.add("roundevenf", +[](float x) { return std::nearbyint(x); });
    table.add("fmaf", +[](float x, float y, float z) { return std::fma(x, y, z); });
    table.add("fma", +[](double x, double y, double z) { return std::fma(x, y, z); });
    // Of doubles: what processors without SSE4.1 have no instructions for.
    table.add("floor", +[](double x) { return std::floor(x); });
    table.add("ceil", +[](double x) { return std::ceil(x); });
    table.add("trunc", +[](double x) { return std::trunc(x); });
    table.add("rint", +[](double x) { return std::rint(x); });
    table.add("ldexpf", +[](float x, int exponent) { return std::ldexp(x, exponent); });
    table.add("ilogbf", +[](float x) { return std::ilogb(x); });
    table.add("frexpf", +[](float x, int* exponent) { return std::frexp(x, exponent); });
    table.add("modff", +[](float x, float* whole) { return std::modf(x, whole); });
    table.add(
        "sincosf", +[](float x, float* sine, float* cosine) {
            *sine = std::sin(x);
            *cosine = std::cos(x);
        });
    table.add("exp10f", exp10);
    table.add("pymetal_sinpi", sinpi);
    table.add("pymetal_cospi", cospi);
    table.add("pymetal_tanpi", tanpi);
    table.add("pymetal_rsqrt", rsqrt);
    table.add("pymetal_powr", powr);
    table.add("pymetal_nextafter_half", nextafter_half);
    table.add("pymetal_nextafter_bfloat", nextafter_bfloat);
}

} // namespace pymetal::cpu
