// The grid is whole threadgroups rounded down: the tail is never computed.
// after: github.com/rajveer43/VeloxQuant-MLX/issues/401
// run: {"grid": 256, "threadgroup": 256, "out": 300, "inputs": [["float32", 300]]}
#include <metal_stdlib>
using namespace metal;

kernel void tail_not_launched(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = 2 * a[i];
    // fault: never-written
}
