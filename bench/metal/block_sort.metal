// Bitonic sort of blocks of 1,024 elements, one a thread.
//
// function    grid, in threads  threadgroup
// block_sort  (n, 1, 1)         (1024, 1, 1)
//
// Partners less than 32 apart exchange by shuffles, others in threadgroup memory.

#include <metal_stdlib>
using namespace metal;

constant constexpr uint BLOCK = 1024;

// One of a pair keeps the larger key: the upper thread where the order is ascending.
static uint chosen(uint key, uint other, bool larger)
{
    uint low = min(key, other);
    uint high = max(key, other);
    return larger ? high : low;
}

template <ushort STRIDE>
static uint exchanged(uint key, bool descending, uint lane)
{
    return chosen(key, simd_shuffle_xor(key, STRIDE), ((lane & STRIDE) != 0) != descending);
}

// The exchanges of one merge that stay in a simdgroup.
template <ushort STRIDE>
static uint merged(uint key, bool descending, uint lane)
{
    key = exchanged<STRIDE>(key, descending, lane);
    if constexpr (STRIDE > 1) {
        key = merged<STRIDE / 2>(key, descending, lane);
    }
    return key;
}

kernel void block_sort(
    device uint* out [[buffer(0)]],
    device const uint* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]],
    uint tid [[thread_position_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]])
{
    threadgroup uint keys[2][BLOCK];
    uint key = x[gid];
    key = merged<1>(key, (lane & 2) != 0, lane);
    key = merged<2>(key, (lane & 4) != 0, lane);
    key = merged<4>(key, (lane & 8) != 0, lane);
    key = merged<8>(key, (lane & 16) != 0, lane);
    key = merged<16>(key, (simdgroup & 1) != 0, lane);
    uint side = 0;
    for (uint size = 2; size <= BLOCK / 32; size *= 2) {  // in simdgroups
        bool descending = (simdgroup & size) != 0;
        for (uint stride = size / 2; stride > 0; stride /= 2) {
            // Two sides in turns: one barrier an exchange is enough.
            keys[side][tid] = key;
            threadgroup_barrier(mem_flags::mem_threadgroup);
            uint other = keys[side][(simdgroup ^ stride) * 32 + lane];
            key = chosen(key, other, ((simdgroup & stride) != 0) != descending);
            side = 1 - side;
        }
        key = merged<16>(key, descending, lane);
    }
    out[gid] = key;
}
