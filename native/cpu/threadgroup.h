// One threadgroup at a time on one worker: its threads, simdgroups, barriers and their scheduling.
#pragma once

#include "context.h"
#include "faults.h"
#include "fiber.h"
#include "initial_exec.h"
#include "schedule.h"
#include "simdgroup.h"

#include "../memory.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace pymetal::cpu {

class Checks;
class Log;

enum class Granularity : uint8_t { thread, simdgroup }; // what one call of an entry runs

// A compiled kernel, as the runtime sees it.
struct Kernel {
    Entry entry = nullptr;
    Entry rest = nullptr; // see LaunchContext
    Granularity granularity = Granularity::thread;
    // The axis along which a simdgroup's lanes lie, for code that does not see its threadgroup: the
    // launch then picks threadgroups of its own. -1: as the caller asked.
    int lanes_along = -1;
    bool suspends = true; // has barriers or, a thread at a time, cross-lane operations
    bool flush_subnormals = false;
    size_t private_bytes = 0; // what a call keeps in arrays on its stack
    Checks* checks = nullptr; // of instrumented code
    Log* log = nullptr;       // of the launch
    // A bit for each buffer that may be stored to past the caches; of a launch, that is.
    uint64_t streams = 0;
    uint64_t schedule = 0; // see Schedule
    // What threadgroup memory, and private arrays under checks, hold at first; see exchange(), too.
    uint8_t fill = 0;
};

// Why a launch failed: a barrier that only some threads of a threadgroup reached, or a signal.
struct Fault {
    uint32_t threadgroup_position_in_grid[3] = {0, 0, 0};
    Trap trap;                       // its signal is 0 where a barrier is to blame
    uint32_t thread[3] = {0, 0, 0};  // position in the grid of the thread (or simdgroup's first)
    uint32_t site = 0;               // the barrier with the lowest number that threads wait at
    std::vector<uint32_t> waiting;   // thread_index_in_threadgroup of those
    std::vector<uint32_t> elsewhere; // of those at another barrier
    uint32_t elsewhere_site = 0;
    std::vector<uint32_t> absent; // of those that finished, or passed it by
};

class Threadgroup;
extern constinit thread_local PYMETAL_INITIAL_EXEC Threadgroup* current_threadgroup;

// The state in which a worker runs threadgroups, reused from one to the next.
//
// Threads are fibers, grouped by simdgroup: each is ready, waits in a cross-lane operation, waits
// at a barrier, or has finished. A fiber that has to wait picks its successor itself: a ready lane
// of its simdgroup first; then, since no lane of it can run, the lanes parked at the lowest site
// perform their operation; then another simdgroup; then the barrier opens. What runs a simdgroup a
// call has one fiber a simdgroup, all in the first group. A kernel that never suspends has none, or
// one for all if it has private arrays: what misses these must not reach the caller's frames.
class Threadgroup {
  public:
    // To be called before the threadgroups of a launch; throws std::bad_alloc.
    void begin(const Kernel& kernel, const LaunchContext& launch, size_t memory_bytes,
               const std::atomic<bool>& stop);

    // To be called after them: gives back stacks of a size that few kernels need.
    void end();

    // Runs one threadgroup; false if it faulted.
    bool run(const uint32_t (&position)[3]);

    Fault& fault() { return fault_; }

    // For compiled code, through the functions of context.h.
    static Threadgroup& current() { return *current_threadgroup; }
    const ThreadContext& thread() const { return contexts_[running_]; }
    Checks* checks() const { return kernel_.checks; }
    Log* log() const { return kernel_.log; }
    uint8_t fill() const { return kernel_.fill; }
    void barrier(uint32_t site, uint32_t lanes);
    uint64_t exchange(uint32_t site, const Exchange& deposit);

  private:
    struct Group { // 32 fibers, a bit each
        uint32_t ready = 0, exchanging = 0, at_barrier = 0;
    };
    static constexpr int kNone = -1; // all finished, or a fault

    void place(uint32_t fiber, uint32_t thread);
    void run_all();
    void report_trap(const Trap& trap);
    void run_plainly();
    void run_row(uint32_t calls);
    void run_fibers();
    void run_apart();
    static void start(void* self);
    static void start_plainly(void* self);
    [[noreturn]] void finish();
    void suspend();
    int next(uint32_t group);
    int perform(uint32_t group);
    int open_barrier();
    void report_barrier(uint32_t fiber);
    uint32_t lanes_from(uint32_t thread) const;

    // The launch.
    Kernel kernel_;
    Schedule schedule_;
    const LaunchContext* launch_ = nullptr;
    const std::atomic<bool>* stop_ = nullptr;
    StackArea stacks_of_[2]; // by granularity, so that kernels that take turns keep theirs
    StackArea* stacks_ = nullptr;
    std::unique_ptr<Memory> memory_; // an access that misses it hits nothing else
    size_t memory_bytes_ = 0;

    // The threadgroup.
    ThreadgroupContext context_{};
    uint32_t threads_ = 0;
    bool on_fibers_ = false;
    uint32_t step_ = 1; // threads a fiber stands for
    uint32_t fibers_count_ = 0;
    uint32_t groups_count_ = 0;
    bool faulted_ = false;
    Fault fault_;

    // Its fibers, 32 to a group.
    uint32_t running_ = 0;
    Fiber main_;
    Group groups_[kMaxThreads / kLanes];
    ThreadContext contexts_[kMaxThreads];
    Fiber fibers_[kMaxThreads];
    uint32_t sites_[kMaxThreads];                      // where each waits
    uint32_t lanes_[kMaxThreads];                      // with which lanes, of a simdgroup
    Exchange exchanges_[kMaxThreads / kLanes][kLanes]; // what each deposited
};

} // namespace pymetal::cpu
