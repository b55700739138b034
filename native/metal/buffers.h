// Shared buffers for the memory of arrays: no copy where Metal allows it, pooled copies otherwise.
// PyMetal's own arrays (memory.h) keep their buffer: it is made once for all launches.
#pragma once

#include <mutex>
#include <unordered_map>
#include <vector>

#include "memory.h"
#include "metal/objects.h"

namespace pymetal::metal {

inline constexpr size_t buffer_indices = 31;      // of a kernel, buffer(0) to buffer(30)
inline constexpr size_t largest_set_bytes = 4096; // what setBytes takes

class BufferPool;

// The GPU's view of one array during one launch.
struct Buffer {
    MTL::Buffer* buffer = nullptr; // nil: setBytes passes the memory itself
    void* copy = nullptr;          // its contents, where they are a copy of the memory
    size_t size_class = 0;         // pooled: goes back to the pool
    bool is_kept = false;          // the pool's own, over a room of memory.h
};

class BufferPool final : public RoomKeeper {
  public:
    // `always_copies`: the GPU cannot be trusted with memory that is not its own.
    BufferPool(MTL::Device* device, bool always_copies);
    ~BufferPool() override;

    // A buffer over the memory itself where Metal takes it, or with a copy of it. Throws Failure.
    Buffer acquire(const BufferSlot& slot);
    void release(const Buffer& buffer);
    // Instead of release: the GPU may still use it. Its command buffer holds it.
    static void abandon(const Buffer& buffer);

    // How much memory, from the slot's on, its buffer is over: a room is given whole.
    size_t extent_bytes(const BufferSlot& slot) const;

    void forget(const void* room) override;

  private:
    size_t usable_room(const void* memory) const;
    Buffer in_place(const BufferSlot& slot);
    Buffer over_room(void* memory, size_t room_bytes);
    MTL::Buffer* over_pages(void* memory, size_t size_bytes);
    Buffer with_copy(const BufferSlot& slot);
    Buffer pooled(size_t size_class);

    MTL::Device* device_;
    bool always_copies_;
    int process_;
    std::mutex mutex_;
    std::vector<std::vector<Buffer>> idle_; // by size class: powers of two
    size_t idle_bytes_ = 0;
    std::unordered_map<const void*, MTL::Buffer*> rooms_;
};

// Whether setBytes can pass it, so that no buffer is needed.
inline bool fits_set_bytes(const BufferSlot& slot) {
    return !slot.is_written && slot.size_bytes <= largest_set_bytes;
}

} // namespace pymetal::metal
