// The launch gives less threadgroup memory than the kernel takes for granted.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]], "threadgroup_memory": {"0": 128}}
#include <metal_stdlib>
using namespace metal;

kernel void threadgroup_argument_too_small(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    threadgroup float* tile [[threadgroup(0)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    tile[t] = a[i];  // fault: out-of-bounds thread 32
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t];  // also: out-of-bounds
}
