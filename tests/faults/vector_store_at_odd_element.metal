// A float2 is written at an odd element.
// run: {"grid": 64, "threadgroup": 64, "out": 129, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void vector_store_at_odd_element(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    *(device float2*)(out + 2 * i + 1) = float2(a[i]);  // fault: misaligned thread 0
    // also: never-written
}
