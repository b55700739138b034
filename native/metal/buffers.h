// Shared buffers for the memory of arrays: no copy where Metal allows it, pooled copies otherwise.
#pragma once

#include <mutex>
#include <vector>

#include "metal/objects.h"

namespace pymetal::metal {

inline constexpr size_t buffer_indices = 31;      // of a kernel, buffer(0) to buffer(30)
inline constexpr size_t largest_set_bytes = 4096; // what setBytes takes

class BufferPool;

// The GPU's view of one array during one launch.
struct Buffer {
    MTL::Buffer* buffer = nullptr; // owned; nil: setBytes passes the memory itself
    void* copy = nullptr;          // its contents, where they are a copy of the memory
    size_t size_class = 0;         // pooled: goes back to the pool
};

class BufferPool {
  public:
    explicit BufferPool(MTL::Device* device);
    ~BufferPool() { clear(); }

    // A buffer over `memory` (page-aligned: itself) or with a copy of it. Throws Failure.
    Buffer acquire(const BufferSlot& slot);
    void release(const Buffer& buffer);
    void clear();

  private:
    Buffer pooled(size_t size_class);

    MTL::Device* device_;
    std::mutex mutex_;
    std::vector<std::vector<Buffer>> idle_; // by size class: powers of two
    size_t idle_bytes_ = 0;
};

} // namespace pymetal::metal
