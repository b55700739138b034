// Each threadgroup writes its sum to the same element.
// run: {"grid": 256, "threadgroup": 64, "out": 1, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void threadgroups_share_output(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    float s = simd_sum(a[i]);
    if (t == 0) {
        out[0] = s;  // fault: race
    }
}
