// A lane reads one that took the other branch.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void shuffle_in_branch(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
    float v = a[i];
    if (lane < 20) {
        v += simd_shuffle_down(v, 4);  // fault: inactive-lane thread 16
    }
    out[i] = v;
}
