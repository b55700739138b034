// The last simdgroup of 50 threads has 18 lanes.
// run: {"grid": 50, "threadgroup": 50, "out": 50, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void shuffle_in_partial_simdgroup(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float v = a[i];
    v += simd_shuffle_xor(v, 16);  // fault: inactive-lane thread 34
    out[i] = v;
}
