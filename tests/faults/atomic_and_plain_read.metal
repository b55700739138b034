// Reading the counter in the same launch gives any value.
// run: {"grid": 256, "threadgroup": 64, "out": 5, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void atomic_and_plain_read(
    device atomic_uint* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(&out[0], 1u, memory_order_relaxed);  // also: race
    if (i % 64 == 63) {
        atomic_store_explicit(&out[1 + i / 64], *(device uint*)&out[0], memory_order_relaxed);  // fault: race
    }
}
