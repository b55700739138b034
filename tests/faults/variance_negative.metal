// The difference of two large numbers falls below zero under the root.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]], "check": "nan"}
#include <metal_stdlib>
using namespace metal;

kernel void variance_negative(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float square = a[i] * a[i];
    out[i] = sqrt(square - (square + 1.0f));  // fault: not-finite thread 0
}
