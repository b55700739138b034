// Threads leave a loop with a barrier after different numbers of steps.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void barrier_in_loop(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float sum[64];
    sum[t] = 0;
    for (uint j = 0; j < t % 3 + 1; ++j) {
        sum[t] += a[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier
    }
    out[i] = sum[t];
}
