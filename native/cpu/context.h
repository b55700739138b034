// What compiled kernels see of the runtime: three plain C structs and the functions they may call.
//
// An entry is `void entry(const ThreadContext*)`, called once a thread (reference engine) or once a
// simdgroup (vectorised engine). Compiled code reads the structs at the offsets that `layout()` in
// bindings.cpp exports; no offset is written down a second time in Python. Field names are Metal's
// attribute names where Metal has one.
#pragma once

#include <cstdint>

namespace pymetal::cpu {

inline constexpr uint32_t kLanes = 32;
inline constexpr uint32_t kMaxThreads = 1024; // threads per threadgroup

struct ThreadContext;
using Entry = void (*)(const ThreadContext*);

// The same for a whole launch.
struct LaunchContext {
    void* const* buffers;                // addresses, in the order the kernel was compiled for
    const uint64_t* threadgroup_offsets; // byte offsets of threadgroup arguments, in that order
    uint32_t threads_per_grid[3];
    uint32_t threadgroups_per_grid[3];
    uint32_t dispatch_threads_per_threadgroup[3]; // as asked for; the edge's are smaller
    uint32_t dispatch_simdgroups_per_threadgroup;
    uint32_t dispatch_quadgroups_per_threadgroup;
    uint64_t streamed; // a bit for each buffer to which full lines are stored past the caches
    Entry rest;        // for simdgroups that the kernel's entry is not made for: it passes them on
};

// The same for a threadgroup.
struct ThreadgroupContext {
    const LaunchContext* launch;
    char* memory; // threadgroup memory, zero at the start, aligned to 64 bytes
    uint32_t threadgroup_position_in_grid[3];
    uint32_t threads_per_threadgroup[3]; // those inside the grid
    uint32_t simdgroups_per_threadgroup;
    uint32_t quadgroups_per_threadgroup;
};

// One thread, or the first thread of a simdgroup.
struct ThreadContext {
    const ThreadgroupContext* threadgroup;
    uint32_t thread_position_in_grid[3];
    uint32_t thread_position_in_threadgroup[3];
    uint32_t thread_index_in_threadgroup;
    uint32_t thread_index_in_simdgroup; // the lane; 0 where an entry runs a simdgroup
    uint32_t simdgroup_index_in_threadgroup;
    uint32_t thread_index_in_quadgroup;
    uint32_t quadgroup_index_in_threadgroup;
    uint32_t lanes; // bit per lane of the simdgroup that exists
};

// In the site of a barrier that does not wait for threads that have finished.
constexpr uint32_t kLooseBarrier = uint32_t{1} << 31;

} // namespace pymetal::cpu

// What compiled code may call, beside the C library (symbols.cpp has the whole table).
extern "C" {

// The context of the calling thread (or simdgroup).
const pymetal::cpu::ThreadContext* pymetal_thread();

// Threadgroup barrier. `lanes`: those of the calling simdgroup that reached it; thread fibers pass
// their own as all ones. A barrier without memory flags adds pymetal::cpu::kLooseBarrier to its
// site.
void pymetal_barrier(uint32_t site, uint32_t lanes);

// Cross-lane operation of a thread fiber: `operation` and `type` as in simdgroup.h, `width` 32
// (simdgroup) or 4 (quadgroup). Values travel as bits, zero-extended; the result likewise.
uint64_t pymetal_simd(uint32_t operation, uint32_t type, uint32_t width, uint32_t site,
                      uint64_t value, uint32_t lane, uint64_t fill, uint32_t modulo);
}
