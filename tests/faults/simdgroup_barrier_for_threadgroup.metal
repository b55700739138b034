// A simdgroup barrier does not order two simdgroups.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void simdgroup_barrier_for_threadgroup(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = a[i];  // also: race
    simdgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[63 - t];  // fault: race
    // also: uninitialised anywhere
}
