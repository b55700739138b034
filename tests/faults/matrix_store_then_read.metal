// A matrix stored to threadgroup memory is read by another simdgroup.
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void matrix_store_then_read(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]],
    uint sg [[simdgroup_index_in_threadgroup]]) {
    threadgroup float tile[64];
    if (sg == 0) {
        simdgroup_float8x8 m;
        simdgroup_load(m, a, 8);
        simdgroup_store(m, tile, 8);  // also: race
    }
    out[i] = tile[t];  // fault: race
    // also: uninitialised anywhere
}
