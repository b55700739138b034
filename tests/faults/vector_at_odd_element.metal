// A float4 is read at any element of a float array.
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void vector_at_odd_element(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float4 v = *(device const float4*)(a + i);  // fault: misaligned thread 1
    out[i] = v.x + v.w;
}
