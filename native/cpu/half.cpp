// The conversions that LLVM calls where the processor lacks the instruction, by their compiler-rt
// names' meaning. libgcc lacks some of them (Debian 12 has no __truncsfbf2), so all are our own.
//
// Both ABIs pass a half in the low 16 bits of a vector register, where a float sits as well: a
// float parameter whose upper bits mean nothing receives it.
#include "half.h"
#include "symbols.h"

namespace pymetal::cpu {

namespace {

uint16_t low_bits(float carrier) {
    return static_cast<uint16_t>(std::bit_cast<uint32_t>(carrier));
}
float carry(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits));
}

uint16_t double_to_bfloat(double value) {
    // To float with rounding to odd, so that the second rounding decides as one would have.
    auto narrow = static_cast<float>(value);
    auto bits = std::bit_cast<uint32_t>(narrow);
    if (narrow == narrow && static_cast<double>(narrow) != value && (bits & 1) == 0) {
        const bool away = (static_cast<double>(narrow) > value) == (value > 0);
        bits = away ? bits - 1 : bits + 1;
    }
    return float_to_bfloat(std::bit_cast<float>(bits));
}

} // namespace

extern "C" {
static float extend_half_to_float(float half) {
    return half_to_float(low_bits(half));
}
static double extend_half_to_double(float half) {
    return half_to_float(low_bits(half));
}
static float truncate_float_to_half(float value) {
    return carry(float_to_half(value));
}
static float truncate_double_to_half(double value) {
    return carry(double_to_half(value));
}
static float extend_bfloat_to_float(float bfloat) {
    return bfloat_to_float(low_bits(bfloat));
}
static float truncate_float_to_bfloat(float value) {
    return carry(float_to_bfloat(value));
}
static float truncate_double_to_bfloat(double value) {
    return carry(double_to_bfloat(value));
}
}

void add_half_symbols(SymbolTable& table) {
    table.add("__extendhfsf2", extend_half_to_float);
    table.add("__extendhfdf2", extend_half_to_double);
    table.add("__truncsfhf2", truncate_float_to_half);
    table.add("__truncdfhf2", truncate_double_to_half);
    table.add("__extendbfsf2", extend_bfloat_to_float);
    table.add("__truncsfbf2", truncate_float_to_bfloat);
    table.add("__truncdfbf2", truncate_double_to_bfloat);
}

} // namespace pymetal::cpu
