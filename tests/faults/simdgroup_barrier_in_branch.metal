// Only half of the lanes reach the simdgroup barrier.
// run: {"grid": 32, "threadgroup": 32, "out": 32, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void simdgroup_barrier_in_branch(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float tile[32];
    tile[lane] = a[i];
    if (lane < 16) {
        simdgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier
    }
    out[i] = tile[lane];
}
