#include "memory.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace pymetal {

using Block = Memory::Block;

namespace {

// Freed memory beyond it goes back to the system. Smaller blocks are kept for the next array: a map
// and its page faults cost more than a small launch.
constexpr size_t kKeptBytes = size_t{1} << 20;
constexpr size_t kMostIdleBytes = size_t{64} << 20;
// A process has room for some 65,000 mappings; an array takes two. Arrays beyond have no guards.
constexpr size_t kMostGuarded = 16384;
// Without access on each side of an array: as far as 32 bits count in bytes, it costs nothing but
// addresses. Where these are limited, a little.
constexpr size_t kGuard = sizeof(void*) == 8 ? size_t{4} << 30 : size_t{64} << 10;
constexpr size_t kSmallGuard = size_t{64} << 10;
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
    std::vector<Block> idle[32]; // by size: powers of two
    size_t idle_bytes = 0;
    size_t guarded = 0;
    std::unordered_map<const void*, size_t> rooms;
    std::mutex keepers_mutex;
    std::vector<RoomKeeper*> keepers;
};

Blocks& blocks() {
    static Blocks& all = *new Blocks;
    return all;
}

// Large arrays start where a large page may, and ask for such: their many pages else cost as much
// as reading them.
constexpr size_t kLargePage = size_t{2} << 20;
constexpr size_t kLargeFrom = 2 * kLargePage;

void tell_keepers(const void* room) {
    Blocks& all = blocks();
    const std::lock_guard lock(all.keepers_mutex);
    for (RoomKeeper* keeper : all.keepers)
        keeper->forget(room);
}

// Zeroed pages between guards: what runs past an end faults instead of changing something else. No
// data: there is no room.
Block map(size_t room, size_t guard) {
    const bool large = room >= kLargeFrom;
    const size_t alignment = large ? kLargePage : kMappedAlignment;
    const size_t all = room + 2 * guard + (large ? kLargePage : 0);
    if (all < room)
        return {};
    void* start = mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return {};
    // The system aligns to its own pages, which divide a guard.
    const size_t least = large ? guard : guard - kMappedAlignment;
    const size_t before = up_to(reinterpret_cast<uintptr_t>(start) + least, alignment) -
                          reinterpret_cast<uintptr_t>(start);
    char* data = static_cast<char*>(start) + before;
    if (mprotect(data, room, PROT_READ | PROT_WRITE) != 0) {
        munmap(start, all);
        return {};
    }
#ifdef MADV_HUGEPAGE
    if (large)
        madvise(data, room, MADV_HUGEPAGE); // only advice: where it fails, pages stay small
#endif
    return {data, room, start, all};
}

Block take(size_t room) {
    Blocks& all = blocks();
    {
        const std::lock_guard lock(all.mutex);
        auto* idle = room <= kKeptBytes ? &all.idle[std::countr_zero(room)] : nullptr;
        if (idle != nullptr && !idle->empty()) {
            const Block block = idle->back();
            idle->pop_back();
            all.idle_bytes -= room;
            return block;
        }
        ++all.guarded;
        if (room <= kKeptBytes && all.guarded > kMostGuarded) {
            --all.guarded;
            void* data = nullptr;
            if (posix_memalign(&data, page_bytes(), room) != 0)
                throw std::bad_alloc();
            return {data, room, nullptr, 0};
        }
    }
    Block block = map(room, guard_bytes());
    if (block.data == nullptr)
        block = map(room, kSmallGuard);
    if (block.data != nullptr)
        return block;
    const std::lock_guard lock(all.mutex);
    --all.guarded;
    throw std::bad_alloc();
}

void give_back(const Block& block) {
    if (block.mapping == nullptr) {
        tell_keepers(block.data);
        return std::free(block.data);
    }
    Blocks& all = blocks();
    {
        const std::lock_guard lock(all.mutex);
        if (block.room <= kKeptBytes && all.idle_bytes + block.room <= kMostIdleBytes) {
            all.idle[std::countr_zero(block.room)].push_back(block);
            all.idle_bytes += block.room;
            return;
        }
        --all.guarded;
    }
    tell_keepers(block.data);
    munmap(block.mapping, block.mapping_bytes);
}

} // namespace

Memory::Memory(size_t size_bytes) : size_bytes_(size_bytes) {
    if (size_bytes > SIZE_MAX / 2)
        throw std::bad_alloc();
    const bool is_kept = size_bytes <= kKeptBytes;
    const size_t room = is_kept ? std::bit_ceil(std::max(size_bytes, page_bytes()))
                                : up_to(size_bytes, kMappedAlignment);
    block_ = take(room);
    if (is_kept)
        std::memset(block_.data, 0, size_bytes);
    const std::lock_guard lock(blocks().mutex);
    blocks().rooms[block_.data] = room;
}

Memory::~Memory() {
    {
        const std::lock_guard lock(blocks().mutex);
        blocks().rooms.erase(block_.data);
    }
    give_back(block_);
}

size_t guard_bytes() {
    static const size_t bytes = [] {
        rlimit limit{};
        const bool any = getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY;
        return any ? kGuard : kSmallGuard;
    }();
    return bytes;
}

size_t room_bytes_at(const void* address) {
    const std::lock_guard lock(blocks().mutex);
    const auto found = blocks().rooms.find(address);
    return found == blocks().rooms.end() ? 0 : found->second;
}

void add_room_keeper(RoomKeeper* keeper) {
    const std::lock_guard lock(blocks().keepers_mutex);
    blocks().keepers.push_back(keeper);
}

void remove_room_keeper(RoomKeeper* keeper) {
    const std::lock_guard lock(blocks().keepers_mutex);
    std::erase(blocks().keepers, keeper);
}

} // namespace pymetal
