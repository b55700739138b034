// Two threads of a threadgroup write the same byte.
// run: {"grid": 256, "threadgroup": 64, "out": 128, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void byte_neighbours(
    device uchar* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i / 2] = uchar(i);  // fault: race
}
