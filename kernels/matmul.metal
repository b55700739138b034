// Matrix product, one thread an element: the kernel to read first.
//
// function          grid, in threads  threadgroup
// matmul            (M, K, 1)         any, such as (16, 16, 1)
//     gid.x is the row, gid.y the column
// matmul_coalesced  (K, M, 1)         any, such as (32, 8, 1)
//     gid.x is the column: lanes read B side by side
//
// buffer  name  type                 shape   access
// 0       out   device float*        (M, K)  write
// 1       A     device const float*  (M, N)  read
// 2       B     device const float*  (N, K)  read
// 3       N     constant uint&       ()      read
//
// formula    out[i, j] = sum over n of A[i, n] * B[n, j], added in order in float
// reference  A @ B in float64
//
// As `pymetal check --run` tries it:
// launch: matmul -o 20,24 -i random:20,12 -i random:12,24 -i 12 --grid 20,24 --threadgroup \
//     16,16
// launch: matmul_coalesced -o 20,24 -i random:20,12 -i random:12,24 -i 12 --grid 24,20 \
//     --threadgroup 16,16

#include <metal_stdlib>
using namespace metal;

kernel void matmul(
    device float* out [[buffer(0)]],
    device const float* A [[buffer(1)]],
    device const float* B [[buffer(2)]],
    constant uint& N [[buffer(3)]],
    uint2 gid [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    uint row = gid.x;
    uint column = gid.y;
    uint K = grid.y;

    float sum = 0.0f;
    for (uint n = 0; n < N; ++n) {
        sum += A[row * N + n] * B[n * K + column];
    }
    out[row * K + column] = sum;
}

// The 32 lanes of a simdgroup have neighbouring gid.x. Here that is the column, so that they read
// neighbouring elements of B (one wide load) and the same element of A (one broadcast).
kernel void matmul_coalesced(
    device float* out [[buffer(0)]],
    device const float* A [[buffer(1)]],
    device const float* B [[buffer(2)]],
    constant uint& N [[buffer(3)]],
    uint2 gid [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    uint row = gid.y;
    uint column = gid.x;
    uint K = grid.x;

    float sum = 0.0f;
    for (uint n = 0; n < N; ++n) {
        sum += A[row * N + n] * B[n * K + column];
    }
    out[row * K + column] = sum;
}
