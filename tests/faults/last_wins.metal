// Every thread writes its result to one element, one after another.
// run: {"grid": 64, "threadgroup": 64, "out": 1, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

kernel void last_wins(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]],
    uint n [[threads_per_threadgroup]]) {
    for (uint k = 0; k < n; ++k) {
        if (t == k) {
            out[0] = a[t];  // fault: several-writers thread 1
        }
        threadgroup_barrier(mem_flags::mem_device);
    }
}
