// An atomic counter in threadgroup memory starts at any value.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void threadgroup_atomic_not_cleared(
    device uint* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint t [[thread_index_in_threadgroup]]) {
    threadgroup atomic_uint count;
    atomic_fetch_add_explicit(&count, 1u, memory_order_relaxed);  // fault: uninitialised thread 0
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = atomic_load_explicit(&count, memory_order_relaxed);
}
