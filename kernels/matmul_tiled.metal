// Matrix product through threadgroup memory: each element is read from device memory once a tile.
//
// function          grid, in threads                       threadgroup
// matmul_tiled      (16 ceil(K / 16), 16 ceil(M / 16), 1)  (16, 16, 1)
//     tiles in threadgroup memory
// matmul_tiled_4x4  (16 ceil(K / 64), 16 ceil(M / 64), 1)  (16, 16, 1)
//     16 results a thread, in registers
//
// The grid is whole threadgroups, for every thread helps to load. Any M, N and K are right: tiles
// are filled up with zeros. Each has _half and _bfloat beside float (T); all add in float.
//
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
//
// As `pymetal check --run` tries it:
// launch: matmul_tiled matmul_tiled_half matmul_tiled_bfloat -o 20,40 -i random:20,18 -i \
//     random:18,40 -i 20 -i 18 -i 40 --grid 48,32 --threadgroup 16,16
// launch: matmul_tiled_4x4* -o 20,70 -i random:20,18 -i random:18,70 -i 20 -i 18 -i 70 \
//     --grid 32,16 --threadgroup 16,16

#include <metal_stdlib>
using namespace metal;

constant constexpr uint TILE = 16;

template <typename T>
[[kernel]] void tiled(
    device T* out [[buffer(0)]],
    device const T* A [[buffer(1)]],
    device const T* B [[buffer(2)]],
    constant uint& M [[buffer(3)]],
    constant uint& N [[buffer(4)]],
    constant uint& K [[buffer(5)]],
    uint2 gid [[thread_position_in_grid]],
    uint2 tid [[thread_position_in_threadgroup]])
{
    threadgroup float a_tile[TILE][TILE];
    threadgroup float b_tile[TILE][TILE];
    uint row = gid.y;
    uint column = gid.x;

    float sum = 0.0f;
    for (uint first = 0; first < N; first += TILE) {
        uint a_column = first + tid.x;
        uint b_row = first + tid.y;
        a_tile[tid.y][tid.x] = row < M && a_column < N ? float(A[row * N + a_column]) : 0.0f;
        b_tile[tid.y][tid.x] = b_row < N && column < K ? float(B[b_row * K + column]) : 0.0f;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = 0; n < TILE; ++n) {
            sum += a_tile[tid.y][n] * b_tile[n][tid.x];
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read before the next tile
    }
    if (row < M && column < K) {
        out[row * K + column] = T(sum);
    }
}

// A threadgroup computes 64 x 64 results, a thread every 16th row and column of them. Each element
// that a thread reads from threadgroup memory now serves four multiplications.
constant constexpr uint PER_THREAD = 4;
constant constexpr uint SPAN = TILE * PER_THREAD;

template <typename T>
[[kernel]] void tiled_4x4(
    device T* out [[buffer(0)]],
    device const T* A [[buffer(1)]],
    device const T* B [[buffer(2)]],
    constant uint& M [[buffer(3)]],
    constant uint& N [[buffer(4)]],
    constant uint& K [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint2 tid [[thread_position_in_threadgroup]])
{
    threadgroup float a_tile[SPAN][TILE];
    threadgroup float b_tile[TILE][SPAN];
    uint top = group.y * SPAN;
    uint left = group.x * SPAN;

    float sum[PER_THREAD][PER_THREAD] = {};
    for (uint first = 0; first < N; first += TILE) {
        for (uint i = 0; i < PER_THREAD; ++i) {
            uint offset = tid.y + i * TILE;  // row of A's tile
            uint row = top + offset;
            uint n = first + tid.x;
            a_tile[offset][tid.x] = row < M && n < N ? float(A[row * N + n]) : 0.0f;
        }
        for (uint i = 0; i < PER_THREAD; ++i) {
            uint offset = tid.x + i * TILE;  // column of B's tile
            uint column = left + offset;
            uint n = first + tid.y;
            b_tile[tid.y][offset] = n < N && column < K ? float(B[n * K + column]) : 0.0f;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint n = 0; n < TILE; ++n) {
            float a[PER_THREAD];
            float b[PER_THREAD];
            for (uint i = 0; i < PER_THREAD; ++i) {
                a[i] = a_tile[tid.y + i * TILE][n];
                b[i] = b_tile[n][tid.x + i * TILE];
            }
            for (uint i = 0; i < PER_THREAD; ++i) {
                for (uint j = 0; j < PER_THREAD; ++j) {
                    sum[i][j] += a[i] * b[j];
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    for (uint i = 0; i < PER_THREAD; ++i) {
        for (uint j = 0; j < PER_THREAD; ++j) {
            uint row = top + tid.y + i * TILE;
            uint column = left + tid.x + j * TILE;
            if (row < M && column < K) {
                out[row * K + column] = T(sum[i][j]);
            }
        }
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("matmul_tiled" suffix)]] [[kernel]]                                       \
    decltype(tiled<T>) tiled<T>;                                                                   \
    template [[host_name("matmul_tiled_4x4" suffix)]] [[kernel]]                                   \
    decltype(tiled_4x4<T>) tiled_4x4<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
