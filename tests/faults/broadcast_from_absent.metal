// The broadcasting lane has left.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void broadcast_from_absent(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
    float v = a[i];
    if (lane != 5) {
        v = simd_broadcast(v, 5);  // fault: inactive-lane thread 0
    }
    out[i] = v;
}
