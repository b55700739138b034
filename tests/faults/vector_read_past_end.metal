// Vectorised by 4, but the length is no multiple of 4.
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 252]]}
#include <metal_stdlib>
using namespace metal;

kernel void vector_read_past_end(
    device float* out [[buffer(0)]],
    device const float4* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float4 v = a[i];  // fault: out-of-bounds thread 63
    out[i] = v.x + v.y + v.z + v.w;
}
