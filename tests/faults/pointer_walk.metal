// A pointer is advanced once too often.
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void pointer_walk(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    device const float* p = a + 4 * i;
    float sum = 0;
    for (int j = 0; j < 5; ++j) {
        sum += *p++;  // fault: out-of-bounds thread 63
    }
    out[i] = sum;
}
