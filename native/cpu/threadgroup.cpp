#include "threadgroup.h"

#include "checks.h"
#include "guarded.h"
#include "streaming.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

namespace pymetal::cpu {

namespace {

// Touched only as far as a kernel needs. A simdgroup holds the private arrays of 32 threads.
constexpr size_t kThreadStackBytes = 256 * 1024;
constexpr size_t kSimdgroupStackBytes = 2 * 1024 * 1024;
// Stacks for more private arrays than this are not kept from launch to launch.
constexpr size_t kKeptPrivateBytes = 64 * 1024;

constexpr uint32_t first_bits(uint32_t count) {
    return count >= 32 ? ~uint32_t{0} : (uint32_t{1} << count) - 1;
}

uint32_t lowest(uint32_t bits) {
    return static_cast<uint32_t>(std::countr_zero(bits));
}

} // namespace

constinit thread_local PYMETAL_INITIAL_EXEC Threadgroup* current_threadgroup = nullptr;

void Threadgroup::begin(const Kernel& kernel, const LaunchContext& launch, size_t memory_bytes,
                        const std::atomic<bool>& stop) {
    kernel_ = kernel;
    schedule_ = Schedule(kernel.schedule);
    launch_ = &launch;
    stop_ = &stop;
    context_.launch = &launch;
    step_ = kernel.granularity == Granularity::simdgroup ? kLanes : 1;
    memory_bytes_ = memory_bytes;
    if (memory_bytes != 0 && (memory_ == nullptr || memory_bytes > memory_->size_bytes()))
        memory_ = std::make_unique<Memory>(memory_bytes);
    context_.memory = memory_ == nullptr ? nullptr : static_cast<char*>(memory_->data());
    on_fibers_ = kernel.suspends || kernel.private_bytes != 0;
    if (on_fibers_) {
        const uint32_t* size = launch.dispatch_threads_per_threadgroup;
        const size_t fibers =
            kernel.suspends ? (size_t{size[0]} * size[1] * size[2] + step_ - 1) / step_ : 1;
        const size_t standard = step_ == 1 ? kThreadStackBytes : kSimdgroupStackBytes;
        stacks_ = &stacks_of_[static_cast<int>(kernel.granularity)];
        stacks_->reserve(fibers, standard + kernel.private_bytes);
    }
}

void Threadgroup::end() {
    if (kernel_.streams != 0)
        end_streaming();
    if (kernel_.private_bytes > kKeptPrivateBytes)
        stacks_->release();
}

bool Threadgroup::run(const uint32_t (&position)[3]) {
    current_threadgroup = this;
    threads_ = 1;
    for (int axis = 0; axis < 3; ++axis) {
        const uint32_t size = launch_->dispatch_threads_per_threadgroup[axis];
        const uint64_t left = launch_->threads_per_grid[axis] - uint64_t{position[axis]} * size;
        context_.threadgroup_position_in_grid[axis] = position[axis];
        context_.threads_per_threadgroup[axis] = left < size ? static_cast<uint32_t>(left) : size;
        threads_ *= context_.threads_per_threadgroup[axis];
    }
    context_.simdgroups_per_threadgroup = (threads_ + kLanes - 1) / kLanes;
    context_.quadgroups_per_threadgroup = (threads_ + 3) / 4;
    if (memory_bytes_ != 0)
        std::memset(memory_->data(), kernel_.fill, memory_bytes_);
    faulted_ = false;
    if (kernel_.checks != nullptr)
        kernel_.checks->begin_threadgroup(context_, memory_bytes_);
    Trap trap;
    const auto run = [](void* self) { static_cast<Threadgroup*>(self)->run_all(); };
    if (!run_guarded(run, this, *stop_, &trap))
        report_trap(trap);
    return !faulted_;
}

void Threadgroup::run_all() {
    if (kernel_.suspends)
        run_fibers();
    else if (on_fibers_)
        run_apart();
    else
        run_plainly();
}

// Lanes that exist in the simdgroup of `thread`.
uint32_t Threadgroup::lanes_from(uint32_t thread) const {
    return first_bits(threads_ - thread / kLanes * kLanes);
}

void Threadgroup::place(uint32_t fiber, uint32_t thread) {
    ThreadContext& context = contexts_[fiber];
    const uint32_t* size = context_.threads_per_threadgroup;
    // Most threadgroups have one row, or one layer: divisions cost as much as a small simdgroup.
    const uint32_t row = thread < size[0] ? 0 : thread / size[0];
    const uint32_t layer = row < size[1] ? 0 : row / size[1];
    const uint32_t within[3] = {thread - row * size[0], row - layer * size[1], layer};
    context.threadgroup = &context_;
    for (int axis = 0; axis < 3; ++axis) {
        context.thread_position_in_threadgroup[axis] = within[axis];
        context.thread_position_in_grid[axis] =
            context_.threadgroup_position_in_grid[axis] *
                launch_->dispatch_threads_per_threadgroup[axis] +
            within[axis];
    }
    context.thread_index_in_threadgroup = thread;
    context.thread_index_in_simdgroup = thread % kLanes;
    context.simdgroup_index_in_threadgroup = thread / kLanes;
    context.thread_index_in_quadgroup = thread % 4;
    context.quadgroup_index_in_threadgroup = thread / 4;
    context.lanes = lanes_from(thread);
}

void Threadgroup::run_plainly() {
    running_ = 0;
    const uint32_t calls = (threads_ + step_ - 1) / step_;
    const bool is_row = threads_ == context_.threads_per_threadgroup[0];
    if (is_row && schedule_.is_plain() && step_ == kLanes)
        return run_row(calls);
    for (uint32_t call = 0; call < calls; ++call) {
        const uint32_t which =
            schedule_.is_plain() ? call : static_cast<uint32_t>(schedule_.at(call, calls));
        place(0, which * step_);
        kernel_.entry(&contexts_[0]);
    }
}

// Simdgroups that lie side by side: from one to the next little changes.
void Threadgroup::run_row(uint32_t calls) {
    place(0, 0);
    ThreadContext& context = contexts_[0];
    for (uint32_t call = 1;; ++call) {
        kernel_.entry(&context);
        if (call == calls)
            return;
        context.thread_position_in_grid[0] += kLanes;
        context.thread_position_in_threadgroup[0] += kLanes;
        context.thread_index_in_threadgroup += kLanes;
        context.simdgroup_index_in_threadgroup += 1;
        context.quadgroup_index_in_threadgroup += kLanes / 4;
        if (call + 1 == calls)
            context.lanes = lanes_from(call * kLanes);
    }
}

// All threads one after another on a stack of their own.
void Threadgroup::run_apart() {
    fibers_[0].prepare(*stacks_, 0, start_plainly, this);
    main_.switch_to(fibers_[0]);
}

void Threadgroup::start_plainly(void* self) {
    auto& threadgroup = *static_cast<Threadgroup*>(self);
    threadgroup.fibers_[0].started();
    threadgroup.run_plainly();
    threadgroup.fibers_[0].switch_to(threadgroup.main_, true);
    std::abort(); // a finished fiber is never continued
}

void Threadgroup::run_fibers() {
    fibers_count_ = (threads_ + step_ - 1) / step_;
    groups_count_ = (fibers_count_ + kLanes - 1) / kLanes;
    for (uint32_t group = 0; group < groups_count_; ++group)
        groups_[group] = Group{first_bits(fibers_count_ - group * kLanes), 0, 0};
    for (uint32_t fiber = 0; fiber < fibers_count_; ++fiber) {
        place(fiber, fiber * step_);
        fibers_[fiber].prepare(*stacks_, fiber, start, this);
    }
    running_ = static_cast<uint32_t>(next(0));
    main_.switch_to(fibers_[running_]); // comes back when all have finished, or one faulted
    if (faulted_)
        stacks_->abandon();
}

// A signal ended the threadgroup: whoever ran is left where it was.
void Threadgroup::report_trap(const Trap& trap) {
    if (on_fibers_) {
        main_.took_over();
        stacks_->abandon();
    }
    faulted_ = true;
    fault_ = Fault{};
    fault_.trap = trap;
    std::memcpy(fault_.threadgroup_position_in_grid, context_.threadgroup_position_in_grid,
                sizeof fault_.threadgroup_position_in_grid);
    std::memcpy(fault_.thread, contexts_[running_].thread_position_in_grid, sizeof fault_.thread);
}

void Threadgroup::start(void* self) {
    auto& threadgroup = *static_cast<Threadgroup*>(self);
    threadgroup.fibers_[threadgroup.running_].started();
    threadgroup.kernel_.entry(&threadgroup.contexts_[threadgroup.running_]);
    threadgroup.finish();
}

void Threadgroup::finish() {
    Fiber& own = fibers_[running_];
    groups_[running_ / kLanes].ready &= ~(uint32_t{1} << running_ % kLanes);
    const int successor = next(running_ / kLanes);
    if (successor != kNone)
        running_ = static_cast<uint32_t>(successor);
    own.switch_to(successor == kNone ? main_ : fibers_[successor], true);
    std::abort(); // a finished fiber is never continued
}

// Continues another fiber; comes back when this one may go on.
void Threadgroup::suspend() {
    const uint32_t own = running_;
    const int successor = next(own / kLanes);
    if (successor == kNone) {
        fibers_[own].switch_to(main_); // a fault: never continued
    } else if (static_cast<uint32_t>(successor) != own) {
        running_ = static_cast<uint32_t>(successor);
        fibers_[own].switch_to(fibers_[successor]);
    }
}

void Threadgroup::barrier(uint32_t site, uint32_t lanes) {
    if (!kernel_.suspends)
        return;
    Group& group = groups_[running_ / kLanes];
    const uint32_t bit = uint32_t{1} << running_ % kLanes;
    sites_[running_] = site;
    lanes_[running_] = lanes;
    group.ready &= ~bit;
    group.at_barrier |= bit;
    suspend();
}

uint64_t Threadgroup::exchange(uint32_t site, const Exchange& deposit) {
    Group& group = groups_[running_ / kLanes];
    const uint32_t lane = running_ % kLanes;
    Exchange& slot = exchanges_[running_ / kLanes][lane];
    slot = deposit;
    sites_[running_] = site;
    group.ready &= ~(uint32_t{1} << lane);
    group.exchanging |= uint32_t{1} << lane;
    suspend();
    return slot.value;
}

int Threadgroup::next(uint32_t group) {
    group = schedule_.start(group, groups_count_);
    for (uint32_t left = groups_count_; left != 0; --left) {
        if (groups_[group].ready != 0)
            return static_cast<int>(group * kLanes + schedule_.pick(groups_[group].ready));
        if (groups_[group].exchanging != 0)
            return perform(group);
        group = group + 1 == groups_count_ ? 0 : group + 1;
    }
    return open_barrier();
}

// The lanes parked at the lowest site perform their operation and become ready.
int Threadgroup::perform(uint32_t group) {
    Exchange(&lanes)[kLanes] = exchanges_[group];
    uint32_t first = lowest(groups_[group].exchanging);
    for (uint32_t rest = groups_[group].exchanging; rest != 0; rest &= rest - 1)
        if (sites_[group * kLanes + lowest(rest)] < sites_[group * kLanes + first])
            first = lowest(rest);
    uint32_t active = 0;
    for (uint32_t rest = groups_[group].exchanging; rest != 0; rest &= rest - 1) {
        const uint32_t lane = lowest(rest);
        const bool same_site = sites_[group * kLanes + lane] == sites_[group * kLanes + first];
        if (same_site && lanes[lane].joins(lanes[first]))
            active |= uint32_t{1} << lane;
    }
    if (kernel_.checks != nullptr)
        kernel_.checks->lanes_meet(group, lanes, active, contexts_[group * kLanes].lanes,
                                   sites_[group * kLanes + first]);
    cpu::exchange(lanes, active, kernel_.fill);
    groups_[group].exchanging &= ~active;
    groups_[group].ready |= active;
    return static_cast<int>(group * kLanes + schedule_.pick(active));
}

// Every fiber waits at a barrier or has finished.
int Threadgroup::open_barrier() {
    uint32_t waiting = 0;
    int first = kNone;
    bool agree = true, whole = true;
    for (uint32_t fiber = 0; fiber < fibers_count_; ++fiber) {
        if ((groups_[fiber / kLanes].at_barrier >> fiber % kLanes & 1) == 0)
            continue;
        if (first == kNone)
            first = static_cast<int>(fiber);
        agree = agree && sites_[fiber] == sites_[first];
        whole = whole && (step_ == 1 || lanes_[fiber] == contexts_[fiber].lanes);
        ++waiting;
    }
    if (waiting == 0)
        return kNone;
    // All others have finished: they are behind every barrier.
    const bool loose = agree && (sites_[first] & kLooseBarrier) != 0;
    if (!loose && (waiting != fibers_count_ || !agree || !whole)) {
        report_barrier(static_cast<uint32_t>(first));
        return kNone;
    }
    if (kernel_.checks != nullptr)
        kernel_.checks->barrier_opened();
    for (uint32_t group = 0; group < groups_count_; ++group) {
        groups_[group].ready = groups_[group].at_barrier;
        groups_[group].at_barrier = 0;
    }
    return next(0);
}

// Fills in the fault; `fiber` is one that waits. All others wait, too, or have finished; a fiber
// that runs a simdgroup may wait for some of its lanes only.
void Threadgroup::report_barrier(uint32_t fiber) {
    const Uninterrupted allocating;
    faulted_ = true;
    fault_ = Fault{};
    std::memcpy(fault_.threadgroup_position_in_grid, context_.threadgroup_position_in_grid,
                sizeof fault_.threadgroup_position_in_grid);
    auto site = [&](uint32_t i) { return sites_[i] & ~kLooseBarrier; };
    fault_.site = site(fiber);
    auto waits = [&](uint32_t i) {
        return (groups_[i / kLanes].at_barrier >> i % kLanes & 1) != 0;
    };
    for (uint32_t i = 0; i < fibers_count_; ++i)
        if (waits(i) && site(i) < fault_.site)
            fault_.site = site(i);
    for (uint32_t thread = 0; thread < threads_; ++thread) {
        const uint32_t i = thread / step_;
        const bool passed = step_ != 1 && (lanes_[i] >> thread % kLanes & 1) == 0;
        if (!waits(i) || passed) {
            fault_.absent.push_back(thread);
        } else if (site(i) == fault_.site) {
            fault_.waiting.push_back(thread);
        } else {
            fault_.elsewhere_site = site(i);
            fault_.elsewhere.push_back(thread);
        }
    }
}

} // namespace pymetal::cpu

using pymetal::cpu::Threadgroup;

extern "C" {

const pymetal::cpu::ThreadContext* pymetal_thread() {
    return &Threadgroup::current().thread();
}

void pymetal_barrier(uint32_t site, uint32_t lanes) {
    Threadgroup::current().barrier(site, lanes);
}

uint64_t pymetal_simd(uint32_t operation, uint32_t type, uint32_t width, uint32_t site,
                      uint64_t value, uint32_t lane, uint64_t fill, uint32_t modulo) {
    using namespace pymetal::cpu;
    return Threadgroup::current().exchange(site, {static_cast<SimdOperation>(operation),
                                                  static_cast<SimdType>(type), width, lane, value,
                                                  fill, modulo});
}
}
