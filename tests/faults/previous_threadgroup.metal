// What an earlier threadgroup left is not there for this one.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void previous_threadgroup(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]],
    uint g [[threadgroup_position_in_grid]]) {
    threadgroup float kept[64];
    if (g == 0) {
        kept[t] = a[i];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = kept[t];  // fault: uninitialised thread 64
}
