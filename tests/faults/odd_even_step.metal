// Odd and even steps of a sort without a barrier between them.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["descending:float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void odd_even_step(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup float data[64];
    data[t] = a[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint step = 0; step < 2; ++step) {
        uint low = 2 * t + step;
        if (low + 1 < 64 && data[low] > data[low + 1]) {  // fault: race
            float swap = data[low];  // also: race
            data[low] = data[low + 1];  // also: race
            data[low + 1] = swap;  // also: race
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = data[t];
}
