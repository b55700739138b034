// Memory for arrays that both devices use where it lies: whole pages, zeroed, between pages that
// nobody may touch.
#pragma once

#include <cstddef>

namespace pymetal {

class Memory {
  public:
    struct Block {
        void* data = nullptr;
        size_t room = 0;
        void* mapping = nullptr; // with its guards; none: from the C library
        size_t mapping_bytes = 0;
    };

    // Throws std::bad_alloc. No bytes: one page, so that there is an address.
    explicit Memory(size_t size_bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    void* data() const { return block_.data; }
    size_t size_bytes() const { return size_bytes_; }
    // What belongs to it, in whole pages: a device may be given all of it.
    size_t room_bytes() const { return block_.room; }

  private:
    size_t size_bytes_;
    Block block_;
};

// Where `address` is the start of a Memory: its whole room, else 0. A Metal buffer over memory that
// is not copied needs whole pages.
size_t room_bytes_at(const void* address);

// Whoever keeps something over a room, such as a Metal buffer, is told here before the room goes
// back to the system. Rooms outlive their Memory: the next one of that size may get the same.
class RoomKeeper {
  public:
    virtual ~RoomKeeper() = default;
    virtual void forget(const void* room) = 0;
};
void add_room_keeper(RoomKeeper* keeper);
void remove_room_keeper(RoomKeeper* keeper); // returns when no call of it runs

// What lies around memory that kernels use, without access: as far as a wild access may miss it.
size_t guard_bytes();

} // namespace pymetal
