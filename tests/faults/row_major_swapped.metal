// Rows and columns swapped in the index of a matrix that is not square.
// run: {"grid": [8, 16], "threadgroup": [8, 8], "out": 128, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

kernel void row_major_swapped(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint2 p [[thread_position_in_grid]]) {
    out[p.y * 8 + p.x] = a[p.x * 8 + p.y];  // fault: out-of-bounds
}
