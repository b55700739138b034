// A tree reduction must wait after each level.
// run: {"grid": 256, "threadgroup": 64, "out": 4, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void reduction_without_barrier(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]],
    uint g [[threadgroup_position_in_grid]]) {
    threadgroup float part[64];
    part[t] = a[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint s = 32; s > 0; s /= 2) {
        if (t < s) {
            part[t] += part[t + s];  // fault: race
        }
    }
    if (t == 0) {
        out[g] = part[0];
    }
}
