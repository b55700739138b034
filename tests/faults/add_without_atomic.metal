// Threads add to one counter without an atomic.
// run: {"grid": 256, "threadgroup": 64, "out": 4, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void add_without_atomic(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i % 4] += a[i];  // fault: race
    // also: uninitialised anywhere
}
