// A switch over kinds of filters lacks one.
// run: {"grid": 64, "threadgroup": 32, "out": 64, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

static float weight(uint kind, float x) {
    switch (kind) {
        case 0: return 1.0f - x;
        case 1: return x;
        case 2: return x * x;
    }  // fault: missing-return thread 3
}

kernel void case_forgotten(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = weight(i % 4, a[i]);
}
