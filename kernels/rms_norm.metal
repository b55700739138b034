// Root mean square normalisation of each row of a matrix.
//
// function              grid, in threads  threadgroup
// rms_norm              (rows, 1, 1)      any, such as (64, 1, 1)
//     one thread a row
// rms_norm_simd         (32, rows, 1)     (32, r, 1), r <= 32
//     one simdgroup a row, simd_sum
// rms_norm_threadgroup  (t, rows, 1)      (t, 1, 1), t <= 1024, a multiple of 32
//     one threadgroup a row; simdgroups meet in threadgroup memory
//
// Each has _half and _bfloat beside float (T); all compute in float.
//
// buffer  name    type             shape      access
// 0       out     device T*        (rows, n)  write
// 1       x       device const T*  (rows, n)  read
// 2       weight  device const T*  (n,)       read
// 3       n       constant uint&   ()         read
// 4       eps     constant float&  ()         read
//
// formula    out[i] = weight[i] * x[i] / sqrt(mean of x^2 + eps)
// reference  the formula in float64
// source     Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019
//
// As `pymetal check --run` tries it:
// launch: rms_norm rms_norm_half rms_norm_bfloat -o 7,50 -i random:7,50 -i random:50 -i 50 \
//     -i 1e-5 --grid 7 --threadgroup 4
// launch: rms_norm_simd* -o 7,50 -i random:7,50 -i random:50 -i 50 -i 1e-5 --grid 32,7 \
//     --threadgroup 32,4
// launch: rms_norm_threadgroup* -o 7,150 -i random:7,150 -i random:150 -i 150 -i 1e-5 --grid \
//     64,7 --threadgroup 64

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void rms_norm_thread(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* weight [[buffer(2)]],
    constant uint& n [[buffer(3)]],
    constant float& eps [[buffer(4)]],
    uint row [[thread_position_in_grid]])
{
    x += row * n;
    out += row * n;

    float squares = 0.0f;
    for (uint i = 0; i < n; ++i) {
        squares += float(x[i]) * float(x[i]);
    }
    float scale = rsqrt(squares / n + eps);
    for (uint i = 0; i < n; ++i) {
        out[i] = T(float(weight[i]) * float(x[i]) * scale);
    }
}

template <typename T>
[[kernel]] void rms_norm_simdgroup(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* weight [[buffer(2)]],
    constant uint& n [[buffer(3)]],
    constant float& eps [[buffer(4)]],
    uint2 gid [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    x += gid.y * n;
    out += gid.y * n;

    float squares = 0.0f;
    for (uint i = lane; i < n; i += 32) {
        squares += float(x[i]) * float(x[i]);
    }
    float scale = rsqrt(simd_sum(squares) / n + eps);
    for (uint i = lane; i < n; i += 32) {
        out[i] = T(float(weight[i]) * float(x[i]) * scale);
    }
}

template <typename T>
[[kernel]] void rms_norm_group(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* weight [[buffer(2)]],
    constant uint& n [[buffer(3)]],
    constant float& eps [[buffer(4)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint2 size [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]])
{
    threadgroup float simdgroup_squares[32];
    x += group.y * n;
    out += group.y * n;

    float squares = 0.0f;
    for (uint i = thread_index; i < n; i += size.x) {
        squares += float(x[i]) * float(x[i]);
    }
    squares = simd_sum(squares);
    if (lane == 0) {
        simdgroup_squares[simdgroup_index] = squares;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    // Every simdgroup adds the parts: cheaper than another barrier.
    squares = simd_sum(lane < size.x / 32 ? simdgroup_squares[lane] : 0.0f);

    float scale = rsqrt(squares / n + eps);
    for (uint i = thread_index; i < n; i += size.x) {
        out[i] = T(float(weight[i]) * float(x[i]) * scale);
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("rms_norm" suffix)]] [[kernel]]                                           \
    decltype(rms_norm_thread<T>) rms_norm_thread<T>;                                               \
    template [[host_name("rms_norm_simd" suffix)]] [[kernel]]                                      \
    decltype(rms_norm_simdgroup<T>) rms_norm_simdgroup<T>;                                         \
    template [[host_name("rms_norm_threadgroup" suffix)]] [[kernel]]                               \
    decltype(rms_norm_group<T>) rms_norm_group<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
