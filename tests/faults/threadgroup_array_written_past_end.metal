// The halo has no room.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void threadgroup_array_written_past_end(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float tile[64];
    threadgroup float other[64];
    other[t] = 0;
    tile[t + 1] = a[i];  // fault: out-of-bounds thread 63
    if (t == 0) {
        tile[0] = 0;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t] + other[t];
}
