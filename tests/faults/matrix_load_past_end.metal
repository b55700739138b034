// An 8x8 tile at the edge of a matrix that is not a multiple of 8.
// run: {"grid": 96, "threadgroup": 96, "out": 192, "inputs": [["float32", 160]]}
#include <metal_stdlib>
using namespace metal;

kernel void matrix_load_past_end(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint sg [[simdgroup_index_in_threadgroup]]) {
    simdgroup_float8x8 m;
    simdgroup_load(m, a + 8 * sg, 20);  // fault: out-of-bounds
    simdgroup_store(m, out + 64 * sg, 8);
}
