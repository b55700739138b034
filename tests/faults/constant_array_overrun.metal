// A table at program scope is shorter than its index.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

constant float weights[3] = {0.25f, 0.5f, 0.25f};

kernel void constant_array_overrun(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = weights[i % 4] * a[i];  // fault: out-of-bounds thread 3
}
