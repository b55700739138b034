// Bitonic sort of blocks of 1,024 elements in threadgroup memory, two a thread.
//
// function    grid, in threads  threadgroup
// block_sort  (n / 2, 1, 1)     (512, 1, 1)

#include <metal_stdlib>
using namespace metal;

constant constexpr uint BLOCK = 1024;

kernel void block_sort(
    device uint* out [[buffer(0)]],
    device const uint* x [[buffer(1)]],
    uint group [[threadgroup_position_in_grid]],
    uint tid [[thread_position_in_threadgroup]])
{
    threadgroup uint keys[BLOCK];
    x += group * BLOCK;
    out += group * BLOCK;
    keys[tid] = x[tid];
    keys[tid + BLOCK / 2] = x[tid + BLOCK / 2];
    for (uint size = 2; size <= BLOCK; size *= 2) {
        for (uint stride = size / 2; stride > 0; stride /= 2) {
            threadgroup_barrier(mem_flags::mem_threadgroup);
            uint low = 2 * tid - (tid & (stride - 1));
            uint high = low + stride;
            bool ascending = (low & size) == 0;
            uint a = keys[low];
            uint b = keys[high];
            bool exchange = (a > b) == ascending;
            keys[low] = exchange ? b : a;
            keys[high] = exchange ? a : b;
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[tid] = keys[tid];
    out[tid + BLOCK / 2] = keys[tid + BLOCK / 2];
}
