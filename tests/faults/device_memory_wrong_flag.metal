// The barrier orders threadgroup memory, the data goes through device memory.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void device_memory_wrong_flag(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    out[i] = a[i];  // also: race
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float other = out[i ^ 63];  // fault: race
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = other;  // also: race
}
