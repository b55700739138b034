// Matrix times vector, the matrix quantised to 4 bits: what a language model spends its time on.
//
// function        grid, in threads  threadgroup
// matvec_q4       (rows, 1, 1)      any, such as (64, 1, 1)
//     one thread a row
// matvec_q4_simd  (32, rows, 1)     (32, r, 1), r <= 32
//     one simdgroup a row; a lane takes every 32nd word
//
// Groups are of 32 elements; _g64 are the same with groups of 64. _half and _g64_half have half for
// T, and add in float.
//
// buffer  name    type                shape              access
// 0       out     device T*           (rows,)            write
// 1       packed  device const uint*  (rows, n / 8)      read
// 2       scales  device const T*     (rows, n / group)  read
// 3       biases  device const T*     (rows, n / group)  read
// 4       x       device const T*     (n,)               read
// 5       n       constant uint&      ()                 read
//
// n is a multiple of the group size. A word packs 8 neighbours of a row, the first in its lowest
// 4 bits.
//
// formula    out = w @ x, w[row, i] = q[row, i] * scales[row, i / group] + biases[row, i / group],
//            q[row, i] = (packed[row, i / 8] >> 4 * (i % 8)) & 15
// reference  the formula in float64
// source     the affine scheme of MLX (mlx.core.quantize)
//
// As `pymetal check --run` tries it:
// launch: matvec_q4 matvec_q4_half -o 9 -i random:9,16 -i random:9,4 -i random:9,4 -i \
//     random:128 -i 128 --grid 9 --threadgroup 4
// launch: matvec_q4_g64* -o 9 -i random:9,16 -i random:9,2 -i random:9,2 -i random:128 -i \
//     128 --grid 9 --threadgroup 4
// launch: matvec_q4_simd matvec_q4_simd_half -o 9 -i random:9,16 -i random:9,4 -i random:9,4 \
//     -i random:128 -i 128 --grid 32,9 --threadgroup 32,4
// launch: matvec_q4_simd_g64* -o 9 -i random:9,16 -i random:9,2 -i random:9,2 -i random:128 \
//     -i 128 --grid 32,9 --threadgroup 32,4

#include <metal_stdlib>
using namespace metal;

// Sum of the word's 8 weights times x. The bias multiplies the sum of x, once.
template <typename T>
static float dot_word(uint word, float scale, float bias, device const T* x)
{
    float products = 0.0f;
    float sum = 0.0f;
    for (uint i = 0; i < 8; ++i) {
        float value = float(x[i]);
        products += float((word >> (4 * i)) & 15) * value;
        sum += value;
    }
    return scale * products + bias * sum;
}

template <typename T, uint GROUP>
[[kernel]] void matvec_thread(
    device T* out [[buffer(0)]],
    device const uint* packed [[buffer(1)]],
    device const T* scales [[buffer(2)]],
    device const T* biases [[buffer(3)]],
    device const T* x [[buffer(4)]],
    constant uint& n [[buffer(5)]],
    uint row [[thread_position_in_grid]])
{
    packed += row * (n / 8);
    scales += row * (n / GROUP);
    biases += row * (n / GROUP);

    float sum = 0.0f;
    for (uint word = 0; word < n / 8; ++word) {
        uint group = word * 8 / GROUP;
        sum += dot_word(packed[word], float(scales[group]), float(biases[group]), x + word * 8);
    }
    out[row] = T(sum);
}

template <typename T, uint GROUP>
[[kernel]] void matvec_simdgroup(
    device T* out [[buffer(0)]],
    device const uint* packed [[buffer(1)]],
    device const T* scales [[buffer(2)]],
    device const T* biases [[buffer(3)]],
    device const T* x [[buffer(4)]],
    constant uint& n [[buffer(5)]],
    uint2 gid [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint row = gid.y;
    packed += row * (n / 8);
    scales += row * (n / GROUP);
    biases += row * (n / GROUP);

    float sum = 0.0f;
    for (uint word = lane; word < n / 8; word += 32) {
        uint group = word * 8 / GROUP;
        sum += dot_word(packed[word], float(scales[group]), float(biases[group]), x + word * 8);
    }
    sum = simd_sum(sum);
    if (lane == 0) {
        out[row] = T(sum);
    }
}

#define KERNELS(suffix, T, GROUP)                                                                  \
    template [[host_name("matvec_q4" suffix)]] [[kernel]]                                          \
    decltype(matvec_thread<T, GROUP>) matvec_thread<T, GROUP>;                                     \
    template [[host_name("matvec_q4_simd" suffix)]] [[kernel]]                                     \
    decltype(matvec_simdgroup<T, GROUP>) matvec_simdgroup<T, GROUP>;

KERNELS("", float, 32)
KERNELS("_g64", float, 64)
KERNELS("_half", half, 32)
KERNELS("_g64_half", half, 64)
