// A function returns nothing for large values.
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

static float limited(float x) {
    if (x < 10.0f) {  // fault: missing-return thread 10
        return x;
    }
}

kernel void return_forgotten(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = limited(a[i]);
}
