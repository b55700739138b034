// The second half of the threadgroup overwrites what the first half computed.
// run: {"grid": 64, "threadgroup": 64, "out": 32, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

kernel void rows_share_output(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]]) {
    if (t < 32) {
        out[t] = 2 * a[t];
    }
    threadgroup_barrier(mem_flags::mem_device);
    if (t >= 32) {
        out[t - 32] = a[t] + 1;  // fault: several-writers thread 32
    }
}
