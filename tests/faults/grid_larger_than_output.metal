// Nobody compares the position with the number of elements.
// run: {"grid": 256, "threadgroup": 64, "out": 200, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void grid_larger_than_output(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = 1.0f + a[i % 256];  // fault: out-of-bounds thread 200
}
