// Threads beyond the end leave their part of the tile as it was.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256], 250]}
#include <metal_stdlib>
using namespace metal;

kernel void tail_not_loaded(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    if (i < n) {
        tile[t] = a[i];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float sum = 0;
    for (uint j = 0; j < 64; ++j) {
        sum += tile[j];  // fault: uninitialised thread 192
    }
    out[i] = sum;
}
