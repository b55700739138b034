// The output has room for 7 rows only.
// run: {"grid": 32, "threadgroup": 32, "out": 56, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

kernel void matrix_store_past_end(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]]) {
    simdgroup_float8x8 m;
    simdgroup_load(m, a, 8);
    simdgroup_store(m, out, 8);  // fault: out-of-bounds
}
