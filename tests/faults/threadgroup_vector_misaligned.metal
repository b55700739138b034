// A padded row of 33 floats has no place for float4.
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

float4 row(threadgroup const float* tile, uint index) {
    return *(threadgroup const float4*)(tile + 33 * index);  // fault: misaligned thread 1
}

kernel void threadgroup_vector_misaligned(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[33 * 8];
    for (uint j = t; j < 33 * 8; j += 64) {
        tile[j] = a[j % 256];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float4 v = row(tile, t % 8);
    out[i] = v.x + v.w;
}
