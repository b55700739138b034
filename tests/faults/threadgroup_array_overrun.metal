// One threadgroup array runs into the next.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void threadgroup_array_overrun(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float first[64];
    threadgroup float second[64];
    first[t] = a[i];
    second[t] = 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = first[t + 1] + second[t];  // fault: out-of-bounds thread 63
}
