// Only some threads reach the barrier.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void barrier_in_branch(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    if (t < 40) {
        tile[t] = a[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier
    }
    out[i] = a[i];
}
