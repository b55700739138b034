// The access is in a function; the report names its line.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

float left(device const float* values, uint i) {
    return values[int(i) - 1];  // fault: out-of-bounds thread 0
}

kernel void stencil_in_function(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = left(a, i) + a[i];
}
