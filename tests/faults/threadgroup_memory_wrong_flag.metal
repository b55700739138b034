// The barrier orders device memory, the data goes through threadgroup memory.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void threadgroup_memory_wrong_flag(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    tile[t] = a[i];  // also: race
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = tile[63 - t];  // fault: race
}
