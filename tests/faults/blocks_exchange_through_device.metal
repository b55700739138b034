// Threadgroups read what other threadgroups write.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void blocks_exchange_through_device(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint g [[threadgroup_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    out[i] = a[i];  // also: race
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = out[(i + 64) % 256];  // fault: race
    // also: uninitialised anywhere
}
