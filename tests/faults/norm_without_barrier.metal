// The squares of the differences overwrite the sums before all have read the mean.
// after: github.com/ggml-org/llama.cpp/pull/3057
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

kernel void norm_without_barrier(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float sum[64];
    sum[t] = a[t];
    for (uint half_way = 32; half_way > 0; half_way /= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (t < half_way) {
            sum[t] += sum[t + half_way];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float mean = sum[0] / 64;  // fault: race
    float difference = a[t] - mean;
    sum[t] = difference * difference;  // also: race
    for (uint half_way = 32; half_way > 0; half_way /= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (t < half_way) {
            sum[t] += sum[t + half_way];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[t] = difference * rsqrt(sum[0] / 64 + 1e-5f);
}
