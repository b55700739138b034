// One thread resets a counter with a plain store while others count.
// run: {"grid": 256, "threadgroup": 64, "out": 1, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void atomic_and_plain_store(
    device atomic_uint* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    if (i == 0) {
        *(device uint*)out = 0;  // also: race
    }
    atomic_fetch_add_explicit(out, 1u, memory_order_relaxed);  // fault: race
}
