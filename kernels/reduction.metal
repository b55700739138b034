// Sum of all elements.
//
// function        grid, in threads  threadgroup
// reduction       (n, 1, 1)         any, such as (256, 1, 1)
//     one atomic addition an element
// reduction_tree  (n, 1, 1)         any, such as (256, 1, 1)
//     a tree in threadgroup memory; one result a threadgroup, no atomics
// reduction_simd  (t, 1, 1), any t  any, such as (256, 1, 1)
//     many elements a thread, then simd_sum; one atomic addition a threadgroup
//
// reduction and reduction_simd add to out[0], which must be zero before (run_metal_kernel sees to
// that); the order of their additions, so their last bits, may differ from run to run.
// reduction_tree writes the sum of each threadgroup to out[threadgroup]: launch it again on that
// until one is left; its result is always the same. reduction_simd is right with any number of
// threadgroups; about as many as the GPU runs at once is good.
//
// All have _half, _bfloat, _int and _uint beside float (T). Half and bfloat are added in float (S);
// 32-bit integers in themselves.
//
// Buffers of reduction:
// buffer  name  type               shape            access
// 0       out   device atomic<S>*  (1,)             read, write
// 1       x     device const T*    any, n elements  read
//
// Buffers of reduction_tree:
// buffer  name  type             shape            access
// 0       out   device S*        (threadgroups,)  write
// 1       x     device const T*  any, n elements  read
//
// Buffers of reduction_simd:
// buffer  name  type               shape            access
// 0       out   device atomic<S>*  (1,)             read, write
// 1       x     device const T*    any, n elements  read
// 2       n     constant uint&     ()               read
//
// formula    out = sum over i of x[i]
// reference  the sum in float64
//
// As `pymetal check --run` tries it:
// launch: reduction reduction_half reduction_bfloat reduction_int reduction_uint -o 1 -i \
//     random:300 --grid 300 --threadgroup 128
// launch: reduction_tree* -o 3 -i random:300 --grid 300 --threadgroup 128
// launch: reduction_simd* -o 1 -i random:1000 -i 1000 --grid 300 --threadgroup 128

#include <metal_stdlib>
using namespace metal;

template <typename T, typename S>
[[kernel]] void sum_atomic(
    device atomic<S>* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]])
{
    atomic_fetch_add_explicit(out, S(x[gid]), memory_order_relaxed);
}

template <typename T, typename S>
[[kernel]] void sum_tree(
    device S* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]],
    uint tid [[thread_position_in_threadgroup]],
    uint size [[threads_per_threadgroup]],
    uint group [[threadgroup_position_in_grid]])
{
    threadgroup S partial[1024];
    partial[tid] = S(x[gid]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    // The upper half is added to the lower one; an odd middle element waits. At the edge of the
    // grid the threadgroup is smaller and `size` with it.
    for (uint active = size; active > 1;) {
        uint half_way = (active + 1) / 2;
        if (tid + half_way < active) {
            partial[tid] += partial[tid + half_way];
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        active = half_way;
    }
    if (tid == 0) {
        out[group] = partial[0];
    }
}

template <typename T, typename S>
[[kernel]] void sum_simd(
    device atomic<S>* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint gid [[thread_position_in_grid]],
    uint grid [[threads_per_grid]],
    uint size [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]])
{
    threadgroup S partial[32];
    // Each simdgroup adds up a stretch of its own, so that what lies together is read together.
    uint each = n / grid + (n % grid != 0);
    ulong start = min(ulong(n), ulong(gid - lane) * each);
    uint lanes = simd_sum(1u);  // fewer than 32 at the edge
    uint count = uint(min(ulong(lanes) * each, n - start));
    x += start;

    // It reads both halves of the stretch at once: one place alone does not keep memory busy.
    uint half_way = count / (2 * lanes) * lanes;
    S sum = S(0);
    S upper = S(0);
    for (uint i = lane; i < half_way; i += lanes) {
        sum += S(x[i]);
        upper += S(x[half_way + i]);
    }
    for (uint i = 2 * half_way + lane; i < count; i += lanes) {
        sum += S(x[i]);
    }
    sum = simd_sum(sum + upper);
    if (lane == 0) {
        partial[simdgroup_index] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simdgroup_index == 0) {
        uint simdgroups = (size + 31) / 32;
        sum = simd_sum(lane < simdgroups ? partial[lane] : S(0));
        if (lane == 0) {
            atomic_fetch_add_explicit(out, sum, memory_order_relaxed);
        }
    }
}

#define KERNELS(suffix, T, S)                                                                      \
    template [[host_name("reduction" suffix)]] [[kernel]]                                          \
    decltype(sum_atomic<T, S>) sum_atomic<T, S>;                                                   \
    template [[host_name("reduction_tree" suffix)]] [[kernel]]                                     \
    decltype(sum_tree<T, S>) sum_tree<T, S>;                                                       \
    template [[host_name("reduction_simd" suffix)]] [[kernel]]                                     \
    decltype(sum_simd<T, S>) sum_simd<T, S>;

KERNELS("", float, float)
KERNELS("_half", half, float)
KERNELS("_int", int, int)
KERNELS("_uint", uint, uint)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat, float)
#endif
