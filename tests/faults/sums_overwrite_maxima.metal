// A fast simdgroup stores its sum where a slow one still reads the maximum.
// after: github.com/ml-explore/mlx-lm/issues/1700
// run: {"grid": 128, "threadgroup": 128, "out": 128, "inputs": [["float32", 128]]}
#include <metal_stdlib>
using namespace metal;

kernel void sums_overwrite_maxima(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    threadgroup float shared[4];
    float largest = simd_max(a[t]);
    if (lane == 0) {
        shared[simdgroup] = largest;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    largest = max(max(shared[0], shared[1]), max(shared[2], shared[3]));  // also: race
    float sum = simd_sum(exp(a[t] - largest));
    if (lane == 0) {
        shared[simdgroup] = sum;  // fault: race
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[t] = largest + log(shared[0] + shared[1] + shared[2] + shared[3]);
}
