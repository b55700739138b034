#include "metal/buffers.h"

#include <bit>
#include <cstring>
#include <unistd.h>

namespace pymetal::metal {

namespace {

constexpr size_t smallest_class = 12; // 4 KiB
constexpr size_t classes = 64;
// Buffers beyond this much go back to Metal, so that one large launch does not hold memory for
// ever.
constexpr size_t most_idle_bytes = size_t{256} << 20;
constexpr size_t idle_per_class = 64;

size_t class_of(size_t bytes) {
    auto width = static_cast<size_t>(std::bit_width(bytes - 1));
    return width < smallest_class ? smallest_class : width;
}

// Apple's GPUs want whole pages of the system, 16 KiB on Apple silicon; the larger serves both.
size_t page_bytes() {
    static const size_t bytes = std::max<size_t>(16384, static_cast<size_t>(getpagesize()));
    return bytes;
}

Failure out_of_memory(size_t bytes) {
    return Failure("buffer", "Metal made no buffer of " + std::to_string(bytes) + " bytes");
}

bool is_page_aligned(const void* memory, size_t size_bytes) {
    return (reinterpret_cast<uintptr_t>(memory) | size_bytes) % page_bytes() == 0;
}

} // namespace

BufferPool::BufferPool(MTL::Device* device, bool always_copies)
    : device_(device), always_copies_(always_copies), process_(getpid()), idle_(classes) {
    for (auto& list : idle_)
        list.reserve(idle_per_class);
    add_room_keeper(this);
}

BufferPool::~BufferPool() {
    remove_room_keeper(this);
    AutoreleasePool pool;
    for (auto& list : idle_)
        for (auto& buffer : list)
            buffer.buffer->release();
    for (auto& [room, buffer] : rooms_)
        buffer->release();
}

Buffer BufferPool::acquire(const BufferSlot& slot) {
    if (fits_set_bytes(slot))
        return {};
    auto buffer = in_place(slot);
    return buffer.buffer ? buffer : with_copy(slot);
}

size_t BufferPool::extent_bytes(const BufferSlot& slot) const {
    return std::max(slot.size_bytes, usable_room(slot.memory));
}

// The room that begins at `memory`, if Metal can use it where it lies; else 0.
size_t BufferPool::usable_room(const void* memory) const {
    if (always_copies_ || !is_page_aligned(memory, 0))
        return 0;
    auto room = room_bytes_at(memory);
    return room % page_bytes() == 0 ? room : 0;
}

// Nil where that cannot be. Metal itself refuses some memory, such as pages of several mappings.
Buffer BufferPool::in_place(const BufferSlot& slot) {
    if (auto room = usable_room(slot.memory))
        return over_room(slot.memory, room);
    if (always_copies_ || !is_page_aligned(slot.memory, slot.size_bytes))
        return {};
    return {over_pages(slot.memory, slot.size_bytes)};
}

Buffer BufferPool::over_room(void* memory, size_t room_bytes) {
    std::lock_guard lock(mutex_);
    auto found = rooms_.find(memory);
    if (found == rooms_.end()) {
        auto* buffer = over_pages(memory, room_bytes);
        if (!buffer)
            return {};
        found = rooms_.emplace(memory, buffer).first;
    }
    return {found->second, nullptr, 0, true};
}

MTL::Buffer* BufferPool::over_pages(void* memory, size_t size_bytes) {
    return device_->newBuffer(memory, size_bytes, MTL::ResourceStorageModeShared, nullptr);
}

Buffer BufferPool::with_copy(const BufferSlot& slot) {
    auto size_class = class_of(slot.size_bytes);
    auto buffer = pooled(size_class);
    if (!buffer.buffer) {
        // Where the next power of two is more than the device has, the size itself may fit.
        bool is_pooled = size_t{1} << size_class <= device_->maxBufferLength();
        auto bytes = is_pooled ? size_t{1} << size_class : slot.size_bytes;
        auto* made = device_->newBuffer(bytes, MTL::ResourceStorageModeShared);
        if (!made)
            throw out_of_memory(slot.size_bytes);
        buffer = {made, made->contents(), is_pooled ? size_class : 0};
    }
    std::memcpy(buffer.copy, slot.memory, slot.size_bytes);
    return buffer;
}

Buffer BufferPool::pooled(size_t size_class) {
    std::lock_guard lock(mutex_);
    auto& list = idle_[size_class];
    if (list.empty())
        return {};
    auto buffer = list.back();
    list.pop_back();
    idle_bytes_ -= size_t{1} << size_class;
    return buffer;
}

void BufferPool::release(const Buffer& buffer) {
    if (!buffer.buffer || buffer.is_kept)
        return;
    if (buffer.size_class) {
        std::lock_guard lock(mutex_);
        auto& list = idle_[buffer.size_class];
        auto bytes = size_t{1} << buffer.size_class;
        if (list.size() < idle_per_class && idle_bytes_ + bytes <= most_idle_bytes) {
            list.push_back(buffer);
            idle_bytes_ += bytes;
            return;
        }
    }
    buffer.buffer->release();
}

void BufferPool::abandon(const Buffer& buffer) {
    if (buffer.buffer && !buffer.is_kept)
        buffer.buffer->release();
}

// Called wherever an array dies. Metal is not to be spoken to in a forked child.
void BufferPool::forget(const void* room) {
    if (getpid() != process_)
        return;
    std::lock_guard lock(mutex_);
    auto found = rooms_.find(room);
    if (found == rooms_.end())
        return;
    AutoreleasePool pool;
    found->second->release();
    rooms_.erase(found);
}

} // namespace pymetal::metal
