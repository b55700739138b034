// Half of the threads wait at one barrier, half at another.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void two_barriers(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    if (t < 32) {
        threadgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier
    } else {
        threadgroup_barrier(mem_flags::mem_threadgroup);  // also: divergent-barrier
    }
    out[i] = a[i];
}
