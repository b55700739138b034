// Made safe against larger threadgroups: the threads too many return before barriers.
// after: github.com/waybarrios/vllm-mlx/pull/721
// run: {"grid": 256, "threadgroup": 256, "out": 128, "inputs": [["float32", 128]]}
#include <metal_stdlib>
using namespace metal;

kernel void guard_returns_too_early(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float part[128];
    if (t >= 128) {
        return;
    }
    part[t] = a[t];
    threadgroup_barrier(mem_flags::mem_threadgroup);  // fault: divergent-barrier thread 0
    out[t] = part[127 - t];
}
