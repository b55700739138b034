// Memory for arrays that both devices use where it lies: whole pages, zeroed.
#pragma once

#include <cstddef>

namespace pymetal {

class Memory {
  public:
    // Throws std::bad_alloc. No bytes: one page, so that there is an address.
    explicit Memory(size_t size_bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    void* data() const { return data_; }
    size_t size_bytes() const { return size_bytes_; }
    // What belongs to it, in whole pages: a device may be given all of it.
    size_t room_bytes() const { return room_bytes_; }

  private:
    void* data_ = nullptr;
    size_t size_bytes_;
    size_t room_bytes_;
};

// Where `address` is the start of a Memory: its whole room, else 0. A Metal buffer over memory that
// is not copied needs whole pages.
size_t room_bytes_at(const void* address);

} // namespace pymetal
