#include "launch.h"

#include "float_environment.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace pymetal::cpu {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// Below this much work left, waking workers costs more than it saves.
constexpr nanoseconds kWorthSharing{40'000};
// A claim should last about this long: little contention, and workers finish together.
constexpr nanoseconds kChunkTime{50'000};
// Of a threadgroup that the launch picks: small enough to share a grid, larger where that has many.
constexpr uint32_t kRowThreads = 256;
constexpr uint64_t kManyThreads = uint64_t{1} << 20;
// How often a launch looks whether it was interrupted.
constexpr nanoseconds kAskEvery{50'000'000};

} // namespace

Launch::Launch(const Kernel& kernel, std::vector<void*> buffers,
               std::vector<uint64_t> threadgroup_offsets, size_t memory_bytes,
               const Geometry& geometry)
    : kernel_(kernel), buffers_(std::move(buffers)),
      threadgroup_offsets_(std::move(threadgroup_offsets)), memory_bytes_(memory_bytes) {
    uint64_t threads = 1;
    total_ = 1;
    for (int axis = 0; axis < 3; ++axis) {
        const uint32_t grid = geometry.grid[axis], size = geometry.threadgroup[axis];
        if (grid == 0 || size == 0)
            throw std::invalid_argument("a grid or threadgroup of no threads");
        const uint32_t groups = grid / size + (grid % size != 0 ? 1 : 0);
        threads *= size;
        if (threads > kMaxThreads)
            throw std::invalid_argument("a threadgroup of more than 1024 threads");
        if (__builtin_mul_overflow(total_, uint64_t{groups}, &total_) || total_ >> 62 != 0)
            throw std::invalid_argument("a grid of more than 2^62 threadgroups");
        context_.threads_per_grid[axis] = grid;
        context_.threadgroups_per_grid[axis] = groups;
        context_.dispatch_threads_per_threadgroup[axis] = size;
    }
    std::copy_n(geometry.threadgroup, 3, asked_);
    if (kernel.lanes_along >= 0)
        arrange(geometry, static_cast<size_t>(kernel.lanes_along));
    context_.rest = kernel.rest;
    context_.buffers = buffers_.data();
    context_.streamed = kernel.streams;
    context_.threadgroup_offsets = threadgroup_offsets_.data();
    context_.dispatch_simdgroups_per_threadgroup = static_cast<uint32_t>((threads + 31) / 32);
    context_.dispatch_quadgroups_per_threadgroup = static_cast<uint32_t>((threads + 3) / 4);
}

// Threadgroups of one row along `axis`, which comes first: the code does not see threadgroups, and
// knows of the exchange.
void Launch::arrange(const Geometry& geometry, size_t axis) {
    uint32_t grid[3] = {geometry.grid[0], geometry.grid[1], geometry.grid[2]};
    std::swap(grid[0], grid[axis]);
    const bool many = uint64_t{grid[0]} * grid[1] * grid[2] >= kManyThreads;
    const uint32_t most = many ? kMaxThreads : kRowThreads;
    const uint32_t size = std::min((grid[0] - 1) / kLanes * kLanes + kLanes, most);
    const uint32_t sizes[3] = {size, 1, 1};
    total_ = 1;
    for (int i = 0; i < 3; ++i) {
        const uint32_t groups = (grid[i] - 1) / sizes[i] + 1;
        if (__builtin_mul_overflow(total_, uint64_t{groups}, &total_) || total_ >> 62 != 0)
            throw std::invalid_argument("a grid of more than 2^62 threadgroups");
        context_.threads_per_grid[i] = grid[i];
        context_.threadgroups_per_grid[i] = groups;
        context_.dispatch_threads_per_threadgroup[i] = sizes[i];
    }
}

std::optional<Fault> Launch::run(Watch& watch, const std::function<bool()>& interrupted) {
    watch_ = &watch;
    caller_ = std::this_thread::get_id();
    interrupted_ = &interrupted;
    WorkerPool& pool = WorkerPool::instance();
    {
        Lease lease(pool);
        FloatEnvironment environment(kernel_.flush_subnormals);
        lease.threadgroup().begin(kernel_, context_, memory_bytes_, watch.stop());
        claimed_ = 1;
        if (total_ == 1)
            run_chunk(lease.threadgroup(), 0, 1);
        else
            run_first(lease.threadgroup(), pool.size());
        lease.threadgroup().end();
    }
    if (has_work())
        pool.run(*this);
    if (error_)
        std::rethrow_exception(error_);
    if (fault_ && kernel_.lanes_along >= 0)
        place(*fault_);
    return std::move(fault_);
}

// Says where a fault was in the geometry that the program asked for, not in `arrange`'s.
void Launch::place(Fault& fault) const {
    std::swap(fault.thread[0], fault.thread[kernel_.lanes_along]);
    for (int i = 0; i < 3; ++i)
        fault.threadgroup_position_in_grid[i] = fault.thread[i] / asked_[i];
}

// The first threadgroup says what the rest will take: whether sharing it is worth while.
void Launch::run_first(Threadgroup& threadgroup, unsigned workers) {
    const auto start = Clock::now();
    run_chunk(threadgroup, 0, 1);
    const nanoseconds each = std::max(nanoseconds{1}, Clock::now() - start);
    const auto wanted = static_cast<uint64_t>(kChunkTime / each);
    chunk_ = std::clamp<uint64_t>(wanted, 1, total_ / (workers * 8) + 1);
    const auto left = static_cast<double>(total_ - 1) * static_cast<double>(each.count());
    if (left < static_cast<double>(kWorthSharing.count()) || workers == 1 ||
        kernel_.checks != nullptr || kernel_.schedule != 0)
        claim_all(threadgroup);
}

bool Launch::has_work() const {
    return !stopped_.load(std::memory_order_relaxed) &&
           !watch_->stop().load(std::memory_order_relaxed) &&
           claimed_.load(std::memory_order_relaxed) < total_;
}

void Launch::work() {
    try {
        Lease lease(WorkerPool::instance());
        FloatEnvironment environment(kernel_.flush_subnormals);
        lease.threadgroup().begin(kernel_, context_, memory_bytes_, watch_->stop());
        const bool helps = std::this_thread::get_id() != caller_;
        if (helps)
            watch_->enter();
        claim_all(lease.threadgroup());
        if (helps)
            watch_->leave();
        lease.threadgroup().end();
    } catch (...) {
        fail(std::nullopt, std::current_exception());
    }
}

void Launch::claim_all(Threadgroup& threadgroup) {
    const bool asks = std::this_thread::get_id() == caller_;
    auto asked = asks ? Clock::now() : Clock::time_point{};
    while (has_work()) {
        const uint64_t first = claimed_.fetch_add(chunk_, std::memory_order_relaxed);
        if (first >= total_)
            break;
        run_chunk(threadgroup, first, std::min(chunk_, total_ - first));
        if (asks && Clock::now() - asked > kAskEvery) {
            if ((*interrupted_)())
                stopped_ = true;
            watch_->answered();
            asked = Clock::now();
        }
    }
}

void Launch::run_chunk(Threadgroup& threadgroup, uint64_t first, uint64_t count) {
    if (kernel_.schedule != 0 && count > 1) {
        for (uint64_t i = 0; i < count && !stopped_; ++i)
            run_chunk(threadgroup, first + i, 1);
        return;
    }
    first = Schedule(kernel_.schedule).at(first, total_);
    const uint64_t width = context_.threadgroups_per_grid[0];
    const uint64_t height = context_.threadgroups_per_grid[1];
    uint32_t position[3] = {static_cast<uint32_t>(first % width),
                            static_cast<uint32_t>(first / width % height),
                            static_cast<uint32_t>(first / width / height)};
    for (; count != 0; --count) {
        if (!threadgroup.run(position))
            return fail(std::move(threadgroup.fault()), nullptr);
        if (++position[0] == width) {
            position[0] = 0;
            if (++position[1] == height) {
                position[1] = 0;
                ++position[2];
            }
        }
    }
}

void Launch::fail(std::optional<Fault> fault, std::exception_ptr error) {
    const std::lock_guard lock(failure_);
    stopped_ = true;
    if (!fault_ && !error_) {
        fault_ = std::move(fault);
        error_ = std::move(error);
    }
}

} // namespace pymetal::cpu
