// One thread decides for all; the others do not wait for it.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void flag_in_threadgroup_memory(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup int found;
    if (t == 63) {
        found = a[i] > 0 ? 7 : 9;  // fault: race
    }
    out[i] = found;  // also: race
    // also: uninitialised anywhere
}
