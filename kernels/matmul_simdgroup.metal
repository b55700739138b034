// Matrix product with simdgroup matrices: 32 lanes together hold and multiply 8 x 8 matrices.
//
// function                  grid, in threads                     threadgroup
// matmul_simdgroup          (32 ceil(K / 8), ceil(M / 8), 1)     (32, 1, 1)
//     8 x 8 results a simdgroup
// matmul_simdgroup_blocked  (128 ceil(K / 64), ceil(M / 64), 1)  (128, 1, 1)
//     four simdgroups share tiles in threadgroup memory; each computes 32 x 32 results
//
// matmul_simdgroup takes M, N and K that are multiples of 8; for others the whole result is NaN.
// matmul_simdgroup_blocked takes any, and has _half and _bfloat beside float (T); it adds in float.
// An Apple GPU needs family 7 (M1) or later.
//
// Buffers of matmul_simdgroup:
// buffer  name  type                 shape   access
// 0       out   device float*        (M, K)  write
// 1       A     device const float*  (M, N)  read
// 2       B     device const float*  (N, K)  read
// 3       M     constant uint&       ()      read
// 4       N     constant uint&       ()      read
// 5       K     constant uint&       ()      read
//
// Buffers of matmul_simdgroup_blocked:
// buffer  name  type             shape   access
// 0       out   device T*        (M, K)  write
// 1       A     device const T*  (M, N)  read
// 2       B     device const T*  (N, K)  read
// 3       M     constant uint&   ()      read
// 4       N     constant uint&   ()      read
// 5       K     constant uint&   ()      read
//
// formula    out[i, j] = sum over n of A[i, n] * B[n, j]
// reference  A @ B in float64
// source     Metal Shading Language Specification, "SIMD-group Matrix Functions"
//
// As `pymetal check --run` tries it:
// launch: matmul_simdgroup -o 24,16 -i random:24,8 -i random:8,16 -i 24 -i 8 -i 16 --grid \
//     64,3 --threadgroup 32
// launch: matmul_simdgroup_blocked* -o 70,40 -i random:70,36 -i random:36,40 -i 70 -i 36 -i \
//     40 --grid 128,2 --threadgroup 128

#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

kernel void matmul_simdgroup(
    device float* out [[buffer(0)]],
    device const float* A [[buffer(1)]],
    device const float* B [[buffer(2)]],
    constant uint& M [[buffer(3)]],
    constant uint& N [[buffer(4)]],
    constant uint& K [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint top = group.y * 8;
    uint left = group.x * 8;
    if (M % 8 != 0 || N % 8 != 0 || K % 8 != 0) {
        for (uint i = lane; i < 64; i += 32) {
            uint row = top + i / 8;
            uint column = left + i % 8;
            if (row < M && column < K) {
                out[row * K + column] = NAN;
            }
        }
        return;
    }

    simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    for (uint n = 0; n < N; n += 8) {
        simdgroup_float8x8 a;
        simdgroup_float8x8 b;
        simdgroup_load(a, A + top * N + n, N);
        simdgroup_load(b, B + n * K + left, K);
        simdgroup_multiply_accumulate(sum, a, b, sum);
    }
    simdgroup_store(sum, out + top * K + left, K);
}

// A threadgroup computes 64 x 64 results; its four simdgroups, two by two, 32 x 32 each as 4 x 4
// matrices. Each matrix loaded from threadgroup memory serves four multiplications. The tiles are
// float whatever T is, filled up with zeros at the edges.
constant constexpr uint SPAN = 64;   // results of a threadgroup, each way
constant constexpr uint DEPTH = 32;  // of A's columns and B's rows at a time: one a lane
constant constexpr uint THREADS = 128;

template <typename T>
[[kernel, max_total_threads_per_threadgroup(THREADS)]] void blocked(
    device T* out [[buffer(0)]],
    device const T* A [[buffer(1)]],
    device const T* B [[buffer(2)]],
    constant uint& M [[buffer(3)]],
    constant uint& N [[buffer(4)]],
    constant uint& K [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]])
{
    // The tiles of A and B and, when they are used up, the results: 16 KiB each way.
    threadgroup float memory[SPAN * SPAN];
    threadgroup float* a_tile = memory;                 // SPAN x DEPTH
    threadgroup float* b_tile = memory + SPAN * DEPTH;  // DEPTH x SPAN
    uint top = group.y * SPAN;
    uint left = group.x * SPAN;
    uint my_top = simdgroup_index / 2 * 32;
    uint my_left = simdgroup_index % 2 * 32;

    simdgroup_float8x8 sum[4][4];
    for (uint i = 0; i < 4; ++i) {
        for (uint j = 0; j < 4; ++j) {
            sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        }
    }
    for (uint first = 0; first < N; first += DEPTH) {
        // Each simdgroup loads whole rows, every fourth.
        for (uint i = simdgroup_index; i < SPAN; i += THREADS / 32) {
            uint row = top + i;
            uint n = first + lane;
            a_tile[i * DEPTH + lane] = row < M && n < N ? float(A[row * N + n]) : 0.0f;
        }
        for (uint i = simdgroup_index; i < DEPTH; i += THREADS / 32) {
            uint n = first + i;
            for (uint j = lane; j < SPAN; j += 32) {
                uint column = left + j;
                b_tile[i * SPAN + j] = n < N && column < K ? float(B[n * K + column]) : 0.0f;
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = 0; n < DEPTH; n += 8) {
            simdgroup_float8x8 a[4];
            simdgroup_float8x8 b[4];
            for (uint i = 0; i < 4; ++i) {
                simdgroup_load(a[i], a_tile + (my_top + i * 8) * DEPTH + n, DEPTH);
                simdgroup_load(b[i], b_tile + n * SPAN + my_left + i * 8, SPAN);
            }
            for (uint i = 0; i < 4; ++i) {
                for (uint j = 0; j < 4; ++j) {
                    simdgroup_multiply_accumulate(sum[i][j], a[i], b[j], sum[i][j]);
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }

    // Through threadgroup memory, so that edges are cut and T is converted element by element.
    for (uint i = 0; i < 4; ++i) {
        for (uint j = 0; j < 4; ++j) {
            threadgroup float* corner = memory + (my_top + i * 8) * SPAN + my_left + j * 8;
            simdgroup_store(sum[i][j], corner, SPAN);
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = simdgroup_index; i < SPAN; i += THREADS / 32) {
        uint row = top + i;
        for (uint j = lane; j < SPAN; j += 32) {
            uint column = left + j;
            if (row < M && column < K) {
                out[row * K + column] = T(memory[i * SPAN + j]);
            }
        }
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("matmul_simdgroup_blocked" suffix)]] [[kernel]]                           \
    decltype(blocked<T>) blocked<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
