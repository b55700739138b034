// Simdgroups wait for each other, but mem_none makes nothing visible.
// after: github.com/ml-explore/mlx-lm/pull/1714
// run: {"grid": 128, "threadgroup": 128, "out": 128, "inputs": [["float32", 128]]}
#include <metal_stdlib>
using namespace metal;

kernel void barrier_of_no_memory(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    threadgroup float shared[4];
    float sum = simd_sum(a[t]);
    if (lane == 0) {
        shared[simdgroup] = sum;
    }
    threadgroup_barrier(mem_flags::mem_none);
    out[t] = shared[0] + shared[1] + shared[2] + shared[3];  // fault: race
}
