#include "workers.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <new>
#include <pthread.h>
#include <system_error>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace pymetal::cpu {

namespace {

// Never destroyed: workers may sleep in it when the process ends, and a forked child leaves its
// parent's behind, whose locks may be held by threads that it does not have.
std::atomic<WorkerPool*> pool{nullptr};
std::mutex creating;
std::atomic<unsigned> wanted_size{0};

// Tells the processor that its thread does nothing but wait.
void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

unsigned usable_processors() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

// Waking a thread that sleeps takes as long as a small kernel: who expects news looks out for it
// this long before he sleeps, twice a claim of threadgroups. Launches that follow one another find
// their workers awake.
constexpr std::chrono::microseconds kLookOut{100};

// So many sleepers are placed: it takes a microsecond or two each, and on a machine with processors
// for more of them most find one.
constexpr size_t kPlaced = 8;

template <typename Condition>
void look_out(const Condition& happened) {
    const auto end = std::chrono::steady_clock::now() + kLookOut;
    while (!happened() && std::chrono::steady_clock::now() < end)
        for (int i = 0; i < 16; ++i)
            relax();
}

void forget_pool() {
    pool = nullptr;
    new (&creating) std::mutex;
}

} // namespace

WorkerPool& WorkerPool::instance() {
    WorkerPool* existing = pool.load(std::memory_order_acquire);
    if (existing != nullptr)
        return *existing;
    const std::lock_guard lock(creating);
    if (pool == nullptr) {
        static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
        static_cast<void>(registered);
        pool = new WorkerPool;
    }
    return *pool;
}

void WorkerPool::set_size(unsigned size) {
    wanted_size = std::max(1u, size);
}

unsigned WorkerPool::size() {
    const unsigned wanted = wanted_size.load(std::memory_order_relaxed);
    if (wanted != 0)
        return wanted;
    static const unsigned processors = usable_processors();
    return processors;
}

void WorkerPool::run(Job& job) {
    Entry entry{&job};
    {
        const std::lock_guard lock(mutex_);
        start_workers();
        jobs_.push_back(&entry);
        posted_.fetch_add(1, std::memory_order_release);
        for (size_t i = 0; i < std::min(asleep_.size(), kPlaced); ++i)
            asleep_[i]->keep_off_caller();
    }
    wake_.notify_all();
    job.work();
    // Whoever is late finds the job gone; whoever helps is waited for.
    std::unique_lock lock(mutex_);
    jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &entry));
    lock.unlock();
    look_out([&] { return entry.helpers == 0; });
    lock.lock(); // the last helper lets go of the entry under the mutex
    finished_.wait(lock, [&] { return entry.helpers == 0; });
}

void WorkerPool::start_workers() {
    if (workers_ + 1 >= size())
        return;
    // Signals are for the threads of the program, not for ours; but for those that a kernel causes.
    sigset_t others, before;
    sigfillset(&others);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
        sigdelset(&others, own);
    sigdelset(&others, interrupt_signal());
    pthread_sigmask(SIG_SETMASK, &others, &before);
    try {
        for (; workers_ + 1 < size(); ++workers_)
            std::thread([this, index = workers_] { serve(index); }).detach();
    } catch (const std::system_error&) {
        // The system allows no more threads: those that there are do the work.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void WorkerPool::serve(unsigned index) {
    Placement placement;
    std::unique_lock lock(mutex_);
    for (;;) {
        Entry* entry = nullptr;
        if (find_work() == nullptr && index + 1 < size()) {
            const uint64_t known = posted_.load(std::memory_order_relaxed);
            lock.unlock();
            look_out([&] { return posted_.load(std::memory_order_acquire) != known; });
            lock.lock();
        }
        asleep_.push_back(&placement);
        wake_.wait(lock, [&] {
            placement.take_back();
            return index + 1 < size() && (entry = find_work()) != nullptr;
        });
        asleep_.erase(std::find(asleep_.begin(), asleep_.end(), &placement));
        ++entry->helpers;
        lock.unlock();
        entry->job->work();
        lock.lock();
        if (--entry->helpers == 0)
            finished_.notify_all();
    }
}

// The job with the fewest helpers, so that concurrent launches share the workers.
WorkerPool::Entry* WorkerPool::find_work() {
    Entry* best = nullptr;
    for (Entry* entry : jobs_)
        if (entry->job->has_work() && (best == nullptr || entry->helpers < best->helpers))
            best = entry;
    return best;
}

Lease::Lease(WorkerPool& pool) : pool_(pool) {
    {
        const std::lock_guard lock(pool_.mutex_);
        if (!pool_.free_.empty()) {
            threadgroup_ = std::move(pool_.free_.back());
            pool_.free_.pop_back();
        }
    }
    if (threadgroup_ == nullptr)
        threadgroup_ = std::make_unique<Threadgroup>();
}

Lease::~Lease() {
    const std::lock_guard lock(pool_.mutex_);
    pool_.free_.push_back(std::move(threadgroup_));
}

} // namespace pymetal::cpu
