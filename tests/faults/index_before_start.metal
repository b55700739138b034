// The first thread has no left neighbour: the index wraps to a huge one.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void index_before_start(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = a[int(i) - 1];  // fault: out-of-bounds thread 0
}
