// Matrix product by tiles of 32 x 32 in threadgroup memory, one result a thread.
//
// function      grid, in threads  threadgroup
// matmul_tiled  (K, M, 1)         (32, 32, 1)
//
// out (M, K), A (M, N), B (N, K); all lengths are multiples of 32.

#include <metal_stdlib>
using namespace metal;

constant constexpr uint TILE = 32;

kernel void matmul_tiled(
    device float* out [[buffer(0)]],
    device const float* A [[buffer(1)]],
    device const float* B [[buffer(2)]],
    constant uint& N [[buffer(3)]],
    constant uint& K [[buffer(4)]],
    uint2 gid [[thread_position_in_grid]],
    uint2 tid [[thread_position_in_threadgroup]])
{
    threadgroup float a_tile[TILE][TILE];
    threadgroup float b_tile[TILE][TILE];
    uint row = gid.y;
    uint column = gid.x;
    float sum = 0.0f;
    for (uint first = 0; first < N; first += TILE) {
        a_tile[tid.y][tid.x] = A[row * N + first + tid.x];
        b_tile[tid.y][tid.x] = B[(first + tid.y) * K + column];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = 0; n < TILE; ++n) {
            sum += a_tile[tid.y][n] * b_tile[n][tid.x];
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[row * K + column] = sum;
}
