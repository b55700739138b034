// A loop over a private array runs one step too far.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void private_array_overrun(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float window[4];
    for (int j = 0; j < 4; ++j) {
        window[j] = a[(i + j) % 256];
    }
    float sum = 0;
    for (int j = 0; j <= 4; ++j) {
        sum += window[j];  // fault: out-of-bounds thread 0
    }
    out[i] = sum;
}
