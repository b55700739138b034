// Lanes leave the loop at different steps, then others read them.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void reduction_in_loop(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
    float v = a[i];
    for (uint j = 0; j < lane % 4 + 1; ++j) {
        v += simd_shuffle_xor(v, 1);  // fault: inactive-lane
    }
    out[i] = v;
}
