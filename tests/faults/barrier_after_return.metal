// Threads beyond the end return before the barrier.
// run: {"grid": 256, "threadgroup": 64, "out": 250, "inputs": [["float32", 256], 250]}
#include <metal_stdlib>
using namespace metal;

kernel void barrier_after_return(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    if (i >= n) {
        return;
    }
    tile[t] = a[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier
    out[i] = tile[t];
}
