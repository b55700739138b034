// Three simdgroups: lanes without a partner store other partial sums to the same slot.
// after: github.com/llvm/llvm-project/pull/221532
// run: {"grid": 96, "threadgroup": 96, "out": 96, "inputs": [["float32", 96]]}
#include <metal_stdlib>
using namespace metal;

kernel void partials_in_one_slot(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    threadgroup float partial[4];
    threadgroup float total;
    float sum = simd_sum(a[t] + 1);
    if (lane == 0) {
        partial[simdgroup] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t < 3) {
        float mine = partial[t];
        if (t + 1 < 3) {
            mine += partial[t + 1];
        }
        total = mine;  // fault: race
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[t] = total;
}
