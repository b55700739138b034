// The shift count falls below zero.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void shift_negative(
    device uint* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    int by = 4 - int(i % 8);
    out[i] = 256u >> by;  // fault: shift thread 5
}
