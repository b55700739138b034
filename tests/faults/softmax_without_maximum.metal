// The exponential of a large value overflows.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]], "check": "nan"}
#include <metal_stdlib>
using namespace metal;

kernel void softmax_without_maximum(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = exp(a[i]);  // fault: not-finite thread 89
}
