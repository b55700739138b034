// Every second element is never written.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void stride_skips_elements(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    if (i % 2 == 0) {
        out[i] = a[i];
    }
    // fault: never-written
}
