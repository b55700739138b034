// The last thread has no right neighbour.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void difference_past_end(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = a[i + 1] - a[i];  // fault: out-of-bounds thread 255
}
