// A dynamic index of a private array falls below zero.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void private_array_negative(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float stack[8];
    int top = 0;
    stack[top] = a[i];
    for (int j = 0; j < int(i % 3); ++j) {
        --top;
    }
    out[i] = stack[top];  // fault: out-of-bounds thread 1
}
