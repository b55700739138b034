// The grid covers only part of the output.
// run: {"grid": 192, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void grid_too_small(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = a[i];
    // fault: never-written
}
