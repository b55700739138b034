// 8x8 matrices spread over a simdgroup: two elements a lane.
#pragma once

#include "simdgroup.h"

#include <cstdint>

namespace pymetal::cpu {

// Lane l owns (row, column) and (row, column + 1).
constexpr uint32_t matrix_row(uint32_t lane) {
    return (lane / 4 & 4) + lane / 2 % 4;
}
constexpr uint32_t matrix_column(uint32_t lane) {
    return (lane / 4 & 2) * 2 + lane % 2 * 2;
}

// Each lane's value is the address of its elements a[2], b[2], c[2]; a·b + c replaces a. Products
// are accumulated onto c in order of the inner index, fused where the processor can. Elements of
// inactive lanes are zero.
void multiply_accumulate(Exchange (&lanes)[32], uint32_t active);

} // namespace pymetal::cpu
