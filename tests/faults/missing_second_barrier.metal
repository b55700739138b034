// The next tile overwrites what slower threads still read.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void missing_second_barrier(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    float sum = 0;
    for (uint step = 0; step < 4; ++step) {
        tile[t] = a[step * 64 + t];  // fault: race
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint j = 0; j < 64; ++j) {
            sum += tile[j];  // also: race
        }
    }
    out[i] = sum;
}
