// An in-place scan reads what its neighbour overwrites in the same step.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void scan_in_place(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float part[64];
    part[t] = a[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint s = 1; s < 64; s *= 2) {
        if (t >= s) {
            part[t] += part[t - s];  // fault: race
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = part[t];
}
