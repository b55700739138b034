// A shift by vectors, one of whose elements is too large.
// run: {"grid": 64, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void vector_shift(
    device uint4* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = uint4(1) << uint4(1, 2, i, 4);  // fault: shift thread 32
}
