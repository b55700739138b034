// A tile of 64 columns of a matrix that has 48: the last row's read is past its end.
// after: github.com/ml-explore/mlx/issues/632
// run: {"grid": [64, 8], "threadgroup": [64, 1], "out": 384, "inputs": [["float32", 384]]}
#include <metal_stdlib>
using namespace metal;

kernel void tile_past_narrow_matrix(
    device float* out [[buffer(0)]],
    device const float* b [[buffer(1)]],
    uint2 p [[thread_position_in_grid]]) {
    float element = b[p.y * 48 + p.x];  // fault: out-of-bounds
    if (p.x < 48) {
        out[p.y * 48 + p.x] = element;
    }
}
