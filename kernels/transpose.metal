// Transpose of a matrix.
//
// function         grid, in threads                               threadgroup
// transpose        (columns, rows, 1)                             any, such as (32, 8, 1)
//     one thread an element
// transpose_tiled  (32 ceil(columns / 32), 8 ceil(rows / 32), 1)  (32, 8, 1)
//     a tile in threadgroup memory: both sides are read and written in rows
//
// Each has _half and _bfloat beside float (T).
//
// Buffers of transpose:
// buffer  name  type             shape            access
// 0       out   device T*        (columns, rows)  write
// 1       x     device const T*  (rows, columns)  read
//
// Buffers of transpose_tiled:
// buffer  name     type             shape            access
// 0       out      device T*        (columns, rows)  write
// 1       x        device const T*  (rows, columns)  read
// 2       rows     constant uint&   ()               read
// 3       columns  constant uint&   ()               read
//
// formula    out[j, i] = x[i, j]
// reference  x.T, exactly
//
// As `pymetal check --run` tries it:
// launch: transpose transpose_half transpose_bfloat -o 40,9 -i random:9,40 --grid 40,9 \
//     --threadgroup 32,8
// launch: transpose_tiled* -o 40,9 -i random:9,40 -i 9 -i 40 --grid 64,8 --threadgroup 32,8

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void transpose_element(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    uint2 gid [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    out[gid.x * grid.y + gid.y] = x[gid.y * grid.x + gid.x];
}

constant constexpr uint TILE = 32;
constant constexpr uint ROWS_AT_ONCE = 8;

template <typename T>
[[kernel]] void transpose_tile(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& rows [[buffer(2)]],
    constant uint& columns [[buffer(3)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint2 tid [[thread_position_in_threadgroup]])
{
    threadgroup T tile[TILE][TILE + 1];  // one more, so that a column lies in different banks
    uint top = group.y * TILE;
    uint left = group.x * TILE;

    for (uint i = tid.y; i < TILE; i += ROWS_AT_ONCE) {
        if (top + i < rows && left + tid.x < columns) {
            tile[i][tid.x] = x[(top + i) * columns + left + tid.x];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = tid.y; i < TILE; i += ROWS_AT_ONCE) {
        if (left + i < columns && top + tid.x < rows) {
            out[(left + i) * rows + top + tid.x] = tile[tid.x][i];
        }
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("transpose" suffix)]] [[kernel]]                                          \
    decltype(transpose_element<T>) transpose_element<T>;                                           \
    template [[host_name("transpose_tiled" suffix)]] [[kernel]]                                    \
    decltype(transpose_tile<T>) transpose_tile<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
