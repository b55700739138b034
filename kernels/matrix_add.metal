// Sum of two matrices.
//
// function      grid, in threads     threadgroup
// matrix_add    (columns, rows, 1)   any, such as (32, 8, 1)
//     one thread an element
// matrix_add_4  (ceil(n / 4), 1, 1)  any, such as (256, 1, 1)
//     four neighbours a thread, as one vector
//
// Each has _half and _bfloat beside float (T).
//
// Buffers of matrix_add:
// buffer  name  type             shape            access
// 0       out   device T*        (rows, columns)  write
// 1       A     device const T*  (rows, columns)  read
// 2       B     device const T*  (rows, columns)  read
//
// Buffers of matrix_add_4:
// buffer  name  type             shape            access
// 0       out   device T*        any, n elements  write
// 1       A     device const T*  as out           read
// 2       B     device const T*  as out           read
// 3       n     constant uint&   ()               read
//
// formula    out = A + B
// reference  A + B in float64
//
// As `pymetal check --run` tries it:
// launch: matrix_add matrix_add_half matrix_add_bfloat -o 9,40 -i random:9,40 -i random:9,40 \
//     --grid 40,9 --threadgroup 32,8
// launch: matrix_add_4* -o 9,41 -i random:9,41 -i random:9,41 -i 369 --grid 93 --threadgroup \
//     32

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void add(
    device T* out [[buffer(0)]],
    device const T* A [[buffer(1)]],
    device const T* B [[buffer(2)]],
    uint2 gid [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    uint i = gid.y * grid.x + gid.x;
    out[i] = A[i] + B[i];
}

template <typename T>
[[kernel]] void add_4(
    device T* out [[buffer(0)]],
    device const T* A [[buffer(1)]],
    device const T* B [[buffer(2)]],
    constant uint& n [[buffer(3)]],
    uint gid [[thread_position_in_grid]])
{
    uint first = gid * 4;
    if (first + 4 <= n) {
        // Buffers start 16-byte aligned, so every fourth element is aligned for a vector of four.
        vec<T, 4> a = ((device const vec<T, 4>*)A)[gid];
        vec<T, 4> b = ((device const vec<T, 4>*)B)[gid];
        ((device vec<T, 4>*)out)[gid] = a + b;
    } else {
        for (uint i = first; i < n; ++i) {
            out[i] = A[i] + B[i];
        }
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("matrix_add" suffix)]] [[kernel]]                                         \
    decltype(add<T>) add<T>;                                                                       \
    template [[host_name("matrix_add_4" suffix)]] [[kernel]]                                       \
    decltype(add_4<T>) add_4<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
