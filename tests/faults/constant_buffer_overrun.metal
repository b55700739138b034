// The constant buffer has one element, the kernel reads the second.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 1]]}
#include <metal_stdlib>
using namespace metal;

kernel void constant_buffer_overrun(
    device float* out [[buffer(0)]],
    constant float* scales [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = scales[1];  // fault: out-of-bounds thread 0
}
