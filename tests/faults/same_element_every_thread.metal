// Every thread stores its own value to one element.
// run: {"grid": 256, "threadgroup": 64, "out": 1, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void same_element_every_thread(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[0] = a[i];  // fault: race
}
