// A whole simdgroup takes another way than the rest.
// run: {"grid": 256, "threadgroup": 128, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void one_simdgroup_skips(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint sg [[simdgroup_index_in_threadgroup]]) {
    if (sg != 1) {
        threadgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier
    }
    out[i] = a[i];
}
