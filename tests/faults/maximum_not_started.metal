// A private table of maxima has no starting value.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void maximum_not_started(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float best[2];
    for (uint j = 0; j < 4; ++j) {
        best[j % 2] = max(best[j % 2], a[(i + j) % 256]);  // fault: uninitialised thread 0
    }
    out[i] = best[i % 2];
}
