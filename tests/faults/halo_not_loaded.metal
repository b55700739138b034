// The halo of a tile is never loaded.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void halo_not_loaded(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[66];
    tile[t + 1] = a[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t] + tile[t + 2];  // fault: uninitialised thread 0
}
