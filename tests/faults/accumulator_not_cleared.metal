// Threadgroup memory is taken to be zero.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void accumulator_not_cleared(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]],
    uint g [[threadgroup_position_in_grid]]) {
    threadgroup float sums[2];
    if (simd_is_first()) {
        sums[t / 32] += a[i];  // fault: uninitialised thread 0
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = sums[t / 32];
}
