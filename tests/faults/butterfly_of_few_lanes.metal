// A maximum by shuffles over 32 lanes, where the threadgroup has 16.
// after: github.com/m0at/rvllm/pull/1
// run: {"grid": 16, "threadgroup": 16, "out": 16, "inputs": [["float32", 16]]}
#include <metal_stdlib>
using namespace metal;

kernel void butterfly_of_few_lanes(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]]) {
    float largest = -1 - a[t];
    for (ushort offset = 16; offset > 0; offset /= 2) {
        largest = max(largest, simd_shuffle_down(largest, offset));  // fault: inactive-lane
    }
    out[t] = largest;
}
