// One threadgroup fills the cache that all read; a barrier is no order between them.
// after: github.com/antirez/ds4/pull/837
// run: {"grid": 256, "threadgroup": 64, "out": 320, "inputs": [["float32", 64]]}
#include <metal_stdlib>
using namespace metal;

kernel void cache_of_the_first_head(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]],
    uint head [[threadgroup_position_in_grid]]) {
    device float* cache = out + 256;
    if (head == 0) {
        cache[t] = 2 * a[t];  // also: race
    }
    threadgroup_barrier(mem_flags::mem_device);
    out[head * 64 + t] = cache[63 - t];  // fault: race
    // also: uninitialised anywhere
}
