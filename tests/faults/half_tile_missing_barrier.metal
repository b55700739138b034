// The same with 16-bit elements.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float16", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void half_tile_missing_barrier(
    device half* out [[buffer(0)]],
    device const half* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup half tile[64];
    tile[t] = a[i];  // fault: race
    out[i] = tile[(t + 1) % 64];  // fault: race
    // also: uninitialised anywhere
}
