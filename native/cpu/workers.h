// The worker threads of the software device, shared by all launches of the process.
#pragma once

#include "placement.h"
#include "threadgroup.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace pymetal::cpu {

// Work that any number of threads may share.
class Job {
  public:
    virtual void work() = 0; // returns when there is nothing left to claim; must not throw
    virtual bool has_work() const = 0;

  protected:
    ~Job() = default;
};

// The calling thread works too, so `size` workers are size - 1 threads, started when first needed.
// A forked child, which has none of its parent's threads, gets a pool of its own.
class WorkerPool {
  public:
    static WorkerPool& instance();

    // How many threads work on a launch, 1 or more. Takes effect at once.
    static void set_size(unsigned size);
    static unsigned size();

    // Works on `job` with the calling thread and idle workers; returns when all of it is done.
    // Several threads may call at once: workers go to whichever job has work.
    void run(Job& job);

  private:
    friend class Lease;
    struct Entry {
        Job* job;
        std::atomic<unsigned> helpers{0}; // workers inside job->work()
    };

    void start_workers();
    void serve(unsigned index);
    Entry* find_work();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable finished_;
    std::vector<Entry*> jobs_;
    std::vector<Placement*> asleep_;  // of the workers that wait for work
    std::atomic<uint64_t> posted_{0}; // jobs so far, for those who look without the mutex
    unsigned workers_ = 0;            // threads that were started
    std::vector<std::unique_ptr<Threadgroup>> free_; // see Lease
};

// A Threadgroup for the time of a launch on one thread. There are as many as ever ran at once.
class Lease {
  public:
    explicit Lease(WorkerPool& pool);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Threadgroup& threadgroup() { return *threadgroup_; }

  private:
    WorkerPool& pool_;
    std::unique_ptr<Threadgroup> threadgroup_;
};

} // namespace pymetal::cpu
