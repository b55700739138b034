// Histogram of bytes: how often each of the 256 values occurs.
//
// function               grid, in threads  threadgroup
// histogram              (n, 1, 1)         any, such as (256, 1, 1)
//     one atomic addition in device memory a byte
// histogram_threadgroup  (t, 1, 1), any t  any, such as (256, 1, 1)
//     counts in threadgroup memory, added to device memory once; a thread takes every t-th byte
//
// out must be zero before (run_metal_kernel sees to that).
//
// Buffers of histogram:
// buffer  name  type                 shape            access
// 0       out   device atomic_uint*  (256,)           read, write
// 1       x     device const uchar*  any, n elements  read
//
// Buffers of histogram_threadgroup:
// buffer  name  type                 shape            access
// 0       out   device atomic_uint*  (256,)           read, write
// 1       x     device const uchar*  any, n elements  read
// 2       n     constant uint&       ()               read
//
// formula    out[b] = number of i with x[i] == b
// reference  numpy.bincount(x, minlength=256), exactly
//
// As `pymetal check --run` tries it:
// launch: histogram -o 256 -i random:1000 --grid 1000 --threadgroup 256
// launch: histogram_threadgroup -o 256 -i random:1000 -i 1000 --grid 512 --threadgroup 256

#include <metal_stdlib>
using namespace metal;

constant constexpr uint BINS = 256;

kernel void histogram(
    device atomic_uint* out [[buffer(0)]],
    device const uchar* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]])
{
    atomic_fetch_add_explicit(&out[x[gid]], 1u, memory_order_relaxed);
}

// Threads of one threadgroup meet in its own 256 counters; device memory is touched 256 times a
// threadgroup instead of once a byte.
kernel void histogram_threadgroup(
    device atomic_uint* out [[buffer(0)]],
    device const uchar* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint gid [[thread_position_in_grid]],
    uint grid [[threads_per_grid]],
    uint tid [[thread_position_in_threadgroup]],
    uint size [[threads_per_threadgroup]])
{
    threadgroup atomic_uint counts[BINS];
    for (uint bin = tid; bin < BINS; bin += size) {
        atomic_store_explicit(&counts[bin], 0u, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = gid; i < n; i += grid) {
        atomic_fetch_add_explicit(&counts[x[i]], 1u, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint bin = tid; bin < BINS; bin += size) {
        uint count = atomic_load_explicit(&counts[bin], memory_order_relaxed);
        if (count > 0) {
            atomic_fetch_add_explicit(&out[bin], count, memory_order_relaxed);
        }
    }
}
