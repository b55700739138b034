// Lanes of one simdgroup need a simdgroup barrier, too.
// run: {"grid": 32, "threadgroup": 32, "out": 32, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void lanes_without_barrier(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float tile[32];
    tile[lane] = a[i];  // fault: race
    out[i] = tile[lane ^ 1];  // fault: race
    // also: uninitialised anywhere
}
