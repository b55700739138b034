// Only the even elements of a private array are set.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void private_array_partly_set(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float p[8];
    for (int j = 0; j < 8; j += 2) {
        p[j] = a[i];
    }
    out[i] = p[i % 8];  // fault: uninitialised thread 1
}
