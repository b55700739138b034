// One launch: a grid of threads over a kernel, its threadgroups claimed in chunks by workers.
#pragma once

#include "threadgroup.h"
#include "workers.h"

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace pymetal::cpu {

struct Geometry {
    uint32_t grid[3];        // threads
    uint32_t threadgroup[3]; // threads per threadgroup
};

class Launch : public Job {
  public:
    // Throws std::invalid_argument for a geometry that cannot be counted or exceeds kMaxThreads.
    Launch(const Kernel& kernel, std::vector<void*> buffers,
           std::vector<uint64_t> threadgroup_offsets, size_t memory_bytes,
           const Geometry& geometry);

    // Runs it and returns when all is done, or `interrupted()` was true: the calling thread, which
    // made the watch, asks now and then, between threadgroups. Throws what a worker threw
    // (std::bad_alloc). The watch tells whether the launch was ended from outside, and why; one may
    // serve several launches, one after another.
    std::optional<Fault> run(Watch& watch, const std::function<bool()>& interrupted);

    // Claims threadgroups until there are none left, on any thread.
    void work() override;
    bool has_work() const override;

  private:
    void run_first(Threadgroup& threadgroup, unsigned workers);
    void claim_all(Threadgroup& threadgroup);
    void arrange(const Geometry& geometry, size_t axis);
    void place(Fault& fault) const;
    void run_chunk(Threadgroup& threadgroup, uint64_t first, uint64_t count);
    void fail(std::optional<Fault> fault, std::exception_ptr error);

    Kernel kernel_;
    std::vector<void*> buffers_;
    std::vector<uint64_t> threadgroup_offsets_;
    size_t memory_bytes_;
    LaunchContext context_{};
    uint32_t asked_[3];  // threads per threadgroup, as the program asked
    uint64_t total_ = 0; // threadgroups
    uint64_t chunk_ = 1;
    std::atomic<uint64_t> claimed_{0};
    std::atomic<bool> stopped_{false};
    std::thread::id caller_;
    const std::function<bool()>* interrupted_ = nullptr;
    Watch* watch_ = nullptr;
    std::mutex failure_;
    std::optional<Fault> fault_;
    std::exception_ptr error_;
};

} // namespace pymetal::cpu
