// Inclusive scan (running sum).
//
// function          grid, in threads  threadgroup
// scan              (rows, 1, 1)      any, such as (64, 1, 1)
//     one thread a row
// scan_simd         (32, rows, 1)     (32, r, 1), r <= 32
//     one simdgroup a row, 32 elements at a time
// scan_threadgroup  (t, rows, 1)      (t, 1, 1), t <= 1024, a multiple of 32
//     one threadgroup a row, t elements at a time
// scan_totals       (32 c, 1, 1)      (32 s, 1, 1), s <= 32
//     one long row in c = ceil(n / 512) chunks: each simdgroup adds up one ...
// scan_chunks       (32 c, 1, 1)      (32 s, 1, 1), s <= 32
//     ... and scans it from the sum of those before, in totals after a scan
//
// scan_totals, then any scan of the totals, then scan_chunks scan a row that is too long for one
// threadgroup, and read it only twice. Each has _int and _uint beside float (T).
//
// Buffers of scan, scan_simd, scan_threadgroup:
// buffer  name  type             shape      access
// 0       out   device T*        (rows, n)  write
// 1       x     device const T*  (rows, n)  read
// 2       n     constant uint&   ()         read
//
// Buffers of scan_totals:
// buffer  name    type             shape  access
// 0       totals  device T*        (c,)   write
// 1       x       device const T*  (n,)   read
// 2       n       constant uint&   ()     read
//
// Buffers of scan_chunks:
// buffer  name    type             shape  access
// 0       out     device T*        (n,)   write
// 1       x       device const T*  (n,)   read
// 2       totals  device const T*  (c,)   read
// 3       n       constant uint&   ()     read
//
// formula    out[i] = x[0] + ... + x[i], of each row
// reference  numpy.cumsum in float64
//
// As `pymetal check --run` tries it:
// launch: scan scan_int scan_uint -o 7,50 -i random:7,50 -i 50 --grid 7 --threadgroup 4
// launch: scan_simd* -o 7,50 -i random:7,50 -i 50 --grid 32,7 --threadgroup 32,4
// launch: scan_threadgroup* -o 7,150 -i random:7,150 -i 150 --grid 64,7 --threadgroup 64
// launch: scan_totals* -o 3 -i random:1500 -i 1500 --grid 96 --threadgroup 64
// launch: scan_chunks* -o 1500 -i random:1500 -i random:3 -i 1500 --grid 96 --threadgroup 64

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void scan_thread(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint row [[thread_position_in_grid]])
{
    x += row * n;
    out += row * n;

    T sum = T(0);
    for (uint i = 0; i < n; ++i) {
        sum += x[i];
        out[i] = sum;
    }
}

template <typename T>
[[kernel]] void scan_simdgroup(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint2 gid [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    x += gid.y * n;
    out += gid.y * n;

    T before = T(0);  // sum of all elements of earlier rounds
    for (uint first = 0; first < n; first += 32) {
        uint i = first + lane;
        T sum = before + simd_prefix_inclusive_sum(i < n ? x[i] : T(0));
        if (i < n) {
            out[i] = sum;
        }
        before = simd_broadcast(sum, 31);
    }
}

// Inclusive scan over the threads of a threadgroup. Ends with a barrier before `totals` is used
// again; totals[31] becomes the sum over all threads.
template <typename T>
static T threadgroup_scan(
    T value, threadgroup T* totals, uint simdgroups, uint lane, uint simdgroup_index)
{
    T sum = simd_prefix_inclusive_sum(value);
    if (lane == 31) {
        totals[simdgroup_index] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simdgroup_index == 0) {
        totals[lane] = simd_prefix_inclusive_sum(lane < simdgroups ? totals[lane] : T(0));
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return simdgroup_index > 0 ? totals[simdgroup_index - 1] + sum : sum;
}

template <typename T>
[[kernel]] void scan_group(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint2 size [[threads_per_threadgroup]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]])
{
    threadgroup T totals[32];
    x += group.y * n;
    out += group.y * n;

    T before = T(0);
    for (uint first = 0; first < n; first += size.x) {
        uint i = first + thread_index;
        T value = i < n ? x[i] : T(0);
        T sum = threadgroup_scan(value, totals, size.x / 32, lane, simdgroup_index);
        if (i < n) {
            out[i] = before + sum;
        }
        before += totals[31];
        threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read totals
    }
}

constant constexpr uint CHUNK = 512;  // elements of a simdgroup, a row of 32 at a time

template <typename T>
[[kernel]] void scan_total(
    device T* totals [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint simdgroups [[dispatch_simdgroups_per_threadgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint chunk = group * simdgroups + simdgroup_index;
    uint end = min(n, (chunk + 1) * CHUNK);
    T sum = T(0);
    for (uint first = chunk * CHUNK; first < end; first += 32) {
        uint i = first + lane;
        sum += i < end ? x[i] : T(0);
    }
    sum = simd_sum(sum);
    if (lane == 0) {
        totals[chunk] = sum;
    }
}

template <typename T>
[[kernel]] void scan_chunk(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* totals [[buffer(2)]],
    constant uint& n [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint simdgroups [[dispatch_simdgroups_per_threadgroup]],
    uint simdgroup_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint chunk = group * simdgroups + simdgroup_index;
    uint end = min(n, (chunk + 1) * CHUNK);
    T before = chunk > 0 ? totals[chunk - 1] : T(0);
    for (uint first = chunk * CHUNK; first < end; first += 32) {
        uint i = first + lane;
        T sum = before + simd_prefix_inclusive_sum(i < end ? x[i] : T(0));
        if (i < end) {
            out[i] = sum;
        }
        before = simd_broadcast(sum, 31);
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("scan" suffix)]] [[kernel]]                                               \
    decltype(scan_thread<T>) scan_thread<T>;                                                       \
    template [[host_name("scan_simd" suffix)]] [[kernel]]                                          \
    decltype(scan_simdgroup<T>) scan_simdgroup<T>;                                                 \
    template [[host_name("scan_threadgroup" suffix)]] [[kernel]]                                   \
    decltype(scan_group<T>) scan_group<T>;                                                         \
    template [[host_name("scan_totals" suffix)]] [[kernel]]                                        \
    decltype(scan_total<T>) scan_total<T>;                                                         \
    template [[host_name("scan_chunks" suffix)]] [[kernel]]                                        \
    decltype(scan_chunk<T>) scan_chunk<T>;

KERNELS("", float)
KERNELS("_int", int)
KERNELS("_uint", uint)
