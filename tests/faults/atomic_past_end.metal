// A histogram of 16 bins gets the value 16.
// run: {"grid": 256, "threadgroup": 64, "out": 16, "inputs": [["arange:uint32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void atomic_past_end(
    device atomic_uint* bins [[buffer(0)]],
    device const uint* values [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    atomic_fetch_add_explicit(&bins[values[i]], 1u, memory_order_relaxed);  // fault: out-of-bounds thread 16
}
