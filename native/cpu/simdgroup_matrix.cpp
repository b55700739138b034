#include "simdgroup_matrix.h"

#include <bit>

#if defined(__x86_64__)
#define PYMETAL_TARGET_FMA __attribute__((target("avx2,fma")))
#else
#define PYMETAL_TARGET_FMA
#endif

namespace pymetal::cpu {

namespace {

struct Matrix {
    float at[8][8];
};

PYMETAL_TARGET_FMA void fused(const Matrix& a, const Matrix& b, Matrix& c) {
    for (int row = 0; row < 8; ++row)
        for (int k = 0; k < 8; ++k)
            for (int column = 0; column < 8; ++column)
                c.at[row][column] =
                    __builtin_fmaf(a.at[row][k], b.at[k][column], c.at[row][column]);
}

#if defined(__x86_64__)
void unfused(const Matrix& a, const Matrix& b, Matrix& c) {
    for (int row = 0; row < 8; ++row)
        for (int k = 0; k < 8; ++k)
            for (int column = 0; column < 8; ++column)
                c.at[row][column] += a.at[row][k] * b.at[k][column];
}
#endif

void multiply(const Matrix& a, const Matrix& b, Matrix& c) {
#if defined(__x86_64__)
    static const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!has_fma)
        return unfused(a, b, c);
#endif
    fused(a, b, c);
}

} // namespace

void multiply_accumulate(Exchange (&lanes)[32], uint32_t active) {
    Matrix a{}, b{}, c{};
    for (uint32_t rest = active; rest != 0; rest &= rest - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
        const auto* own = reinterpret_cast<const float*>(lanes[lane].value);
        const uint32_t row = matrix_row(lane), column = matrix_column(lane);
        for (uint32_t i = 0; i < 2; ++i) {
            a.at[row][column + i] = own[i];
            b.at[row][column + i] = own[2 + i];
            c.at[row][column + i] = own[4 + i];
        }
    }
    multiply(a, b, c);
    for (uint32_t rest = active; rest != 0; rest &= rest - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
        auto* own = reinterpret_cast<float*>(lanes[lane].value);
        own[0] = c.at[matrix_row(lane)][matrix_column(lane)];
        own[1] = c.at[matrix_row(lane)][matrix_column(lane) + 1];
    }
}

} // namespace pymetal::cpu
