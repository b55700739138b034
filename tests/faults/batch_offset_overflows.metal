// The offset of a batch is an int: it wraps, and the store lands before the array.
// after: github.com/ggml-org/llama.cpp/pull/28210
// run: {"grid": [4, 2], "threadgroup": [4, 1], "out": 8, "inputs": [65536, 32768]}
#include <metal_stdlib>
using namespace metal;

kernel void batch_offset_overflows(
    device float* out [[buffer(0)]],
    constant int& ne0 [[buffer(1)]],
    constant int& ne1 [[buffer(2)]],
    uint2 p [[thread_position_in_grid]]) {
    int batch = p.y;
    out[batch * ne1 * ne0 + int(p.x)] = p.x;  // fault: out-of-bounds
    // also: never-written
}
