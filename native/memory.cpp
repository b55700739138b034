#include "memory.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace pymetal {

namespace {

// From here on the system maps memory, which is zero without being touched, and freed memory goes
// back to it. Smaller blocks are kept for the next array: a map and its page faults cost more than
// a small launch.
constexpr size_t kMappedBytes = size_t{1} << 20;
constexpr size_t kMostIdleBytes = size_t{64} << 20;
// Pages of Apple silicon; a multiple of every other system's.
constexpr size_t kMappedAlignment = 16384;

size_t page_bytes() {
    static const size_t bytes = static_cast<size_t>(getpagesize());
    return bytes;
}

size_t up_to(size_t bytes, size_t multiple) {
    return (bytes + multiple - 1) / multiple * multiple;
}

// Never destroyed: arrays may outlive the module.
struct Blocks {
    std::mutex mutex;
    std::vector<void*> idle[32]; // by size: powers of two
    size_t idle_bytes = 0;
    std::unordered_map<const void*, size_t> rooms;
};

Blocks& blocks() {
    static Blocks& all = *new Blocks;
    return all;
}

// A mapping has a page without access on each side: what runs past the end faults instead of
// changing another array.
void* map(size_t room) {
    const size_t guard = std::max(page_bytes(), kMappedAlignment);
    void* start = mmap(nullptr, room + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (start == MAP_FAILED)
        throw std::bad_alloc();
    const auto first = reinterpret_cast<uintptr_t>(start);
    // The system aligns to its pages only: cut off what is before our first guard.
    const uintptr_t data = up_to(first + page_bytes(), kMappedAlignment);
    if (mprotect(reinterpret_cast<void*>(data), room, PROT_READ | PROT_WRITE) != 0) {
        munmap(start, room + 2 * guard);
        throw std::bad_alloc();
    }
    const uintptr_t begin = data - page_bytes(), end = data + room + page_bytes();
    const uintptr_t last = first + room + 2 * guard;
    if (begin > first)
        munmap(start, begin - first);
    if (last > end)
        munmap(reinterpret_cast<void*>(end), last - end);
    return reinterpret_cast<void*>(data);
}

void unmap(void* data, size_t room) {
    munmap(static_cast<char*>(data) - page_bytes(), room + 2 * page_bytes());
}

void* block(size_t room) {
    Blocks& all = blocks();
    {
        const std::lock_guard lock(all.mutex);
        auto& idle = all.idle[std::countr_zero(room)];
        if (!idle.empty()) {
            void* data = idle.back();
            idle.pop_back();
            all.idle_bytes -= room;
            return data;
        }
    }
    void* data = nullptr;
    if (posix_memalign(&data, page_bytes(), room) != 0)
        throw std::bad_alloc();
    return data;
}

void keep(void* data, size_t room) {
    Blocks& all = blocks();
    {
        const std::lock_guard lock(all.mutex);
        if (all.idle_bytes + room <= kMostIdleBytes) {
            all.idle[std::countr_zero(room)].push_back(data);
            all.idle_bytes += room;
            return;
        }
    }
    std::free(data);
}

} // namespace

Memory::Memory(size_t size_bytes) : size_bytes_(size_bytes) {
    if (size_bytes > SIZE_MAX / 2)
        throw std::bad_alloc();
    const bool is_mapped = size_bytes >= kMappedBytes;
    room_bytes_ = is_mapped ? up_to(size_bytes, kMappedAlignment)
                            : std::bit_ceil(std::max(size_bytes, page_bytes()));
    data_ = is_mapped ? map(room_bytes_) : block(room_bytes_);
    if (!is_mapped)
        std::memset(data_, 0, size_bytes);
    const std::lock_guard lock(blocks().mutex);
    blocks().rooms[data_] = room_bytes_;
}

Memory::~Memory() {
    {
        const std::lock_guard lock(blocks().mutex);
        blocks().rooms.erase(data_);
    }
    if (size_bytes_ >= kMappedBytes)
        unmap(data_, room_bytes_);
    else
        keep(data_, room_bytes_);
}

size_t room_bytes_at(const void* address) {
    const std::lock_guard lock(blocks().mutex);
    const auto found = blocks().rooms.find(address);
    return found == blocks().rooms.end() ? 0 : found->second;
}

} // namespace pymetal
