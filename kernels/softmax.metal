// Softmax of each row of a matrix.
//
// function             grid, in threads  threadgroup
// softmax              (rows, 1, 1)      any, such as (64, 1, 1)
//     one thread a row: maximum, sum, write
// softmax_simd         (32, rows, 1)     (32, r, 1), r <= 32
//     one simdgroup a row, simd_max and simd_sum
// softmax_threadgroup  (t, rows, 1)      (t, 1, 1), t <= 1024, a multiple of 32
//     one threadgroup a row; maximum and sum in one pass ("online")
//
// Each has _half and _bfloat beside float (T); all compute in float.
//
// buffer  name  type             shape      access
// 0       out   device T*        (rows, n)  write
// 1       x     device const T*  (rows, n)  read
// 2       n     constant uint&   ()         read
//
// formula    out[i] = exp(x[i] - max x) / sum over j of exp(x[j] - max x)
//            A row with NaN or +infinity, or of -infinity only, is all NaN.
// reference  the formula in float64
// source     online: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018
//
// As `pymetal check --run` tries it:
// launch: softmax softmax_half softmax_bfloat -o 7,50 -i random:7,50 -i 50 --grid 7 \
//     --threadgroup 4
// launch: softmax_simd* -o 7,50 -i random:7,50 -i 50 --grid 32,7 --threadgroup 32,4
// launch: softmax_threadgroup* -o 7,150 -i random:7,150 -i 150 --grid 64,7 --threadgroup 64

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void softmax_thread(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint row [[thread_position_in_grid]])
{
    x += row * n;
    out += row * n;

    float largest = -INFINITY;
    for (uint i = 0; i < n; ++i) {
        largest = max(largest, float(x[i]));
    }
    float sum = 0.0f;
    for (uint i = 0; i < n; ++i) {
        sum += exp(float(x[i]) - largest);
    }
    for (uint i = 0; i < n; ++i) {
        out[i] = T(exp(float(x[i]) - largest) / sum);
    }
}

template <typename T>
[[kernel]] void softmax_simdgroup(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint2 gid [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    x += gid.y * n;
    out += gid.y * n;

    float largest = -INFINITY;
    for (uint i = lane; i < n; i += 32) {
        largest = max(largest, float(x[i]));
    }
    largest = simd_max(largest);
    float sum = 0.0f;
    for (uint i = lane; i < n; i += 32) {
        sum += exp(float(x[i]) - largest);
    }
    sum = simd_sum(sum);
    for (uint i = lane; i < n; i += 32) {
        out[i] = T(exp(float(x[i]) - largest) / sum);
    }
}

// A thread keeps the largest element so far and the sum of exp(x - largest), and rescales the sum
// whenever it meets a larger one. Partial results are joined the same way.
template <typename T>
[[kernel]] void softmax_online(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint2 size [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]])
{
    threadgroup float simdgroup_largest[32];
    threadgroup float simdgroup_sum[32];
    x += group.y * n;
    out += group.y * n;

    float largest = -INFINITY;
    float sum = 0.0f;
    for (uint i = thread_index; i < n; i += size.x) {
        float value = float(x[i]);
        if (value == -INFINITY) {
            continue;  // adds nothing, and -infinity - -infinity would be NaN
        }
        float larger = max(largest, value);
        sum = sum * exp(largest - larger) + exp(value - larger);
        largest = larger;
    }

    float lanes_largest = simd_max(largest);
    // A lane that saw no number has sum 0: it must not turn exp(-infinity + infinity) into NaN.
    sum = simd_sum(largest == -INFINITY && sum == 0.0f ? 0.0f : sum * exp(largest - lanes_largest));
    if (lane == 0) {
        simdgroup_largest[simdgroup_index] = lanes_largest;
        simdgroup_sum[simdgroup_index] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    uint simdgroups = size.x / 32;
    float part_largest = lane < simdgroups ? simdgroup_largest[lane] : -INFINITY;
    float part_sum = lane < simdgroups ? simdgroup_sum[lane] : 0.0f;
    largest = simd_max(part_largest);
    bool empty = part_largest == -INFINITY && part_sum == 0.0f;
    sum = simd_sum(empty ? 0.0f : part_sum * exp(part_largest - largest));

    for (uint i = thread_index; i < n; i += size.x) {
        out[i] = T(exp(float(x[i]) - largest) / sum);
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("softmax" suffix)]] [[kernel]]                                            \
    decltype(softmax_thread<T>) softmax_thread<T>;                                                 \
    template [[host_name("softmax_simd" suffix)]] [[kernel]]                                       \
    decltype(softmax_simdgroup<T>) softmax_simdgroup<T>;                                           \
    template [[host_name("softmax_threadgroup" suffix)]] [[kernel]]                                \
    decltype(softmax_online<T>) softmax_online<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
