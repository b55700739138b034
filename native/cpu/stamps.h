// What the sanitizer remembers of each unit of a buffer: its last write and reads.
//
// A stamp is 8 bytes, for a unit of 1 to 4 bytes; so stamps that take too much room are packed.
// They follow a pattern nearly always: neighbouring units belong to neighbouring threads, or to the
// same one, or every second or third do, as members of structs and colours of pixels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace pymetal::cpu {

// A write: when (32 bits), who (10), where in the code (19), flags.
// A read: when, who, who else, flags.
struct Stamp {
    static constexpr uint64_t kThere = uint64_t{1} << 63;
    static constexpr uint64_t kAtomic = uint64_t{1} << 62;
    static constexpr uint64_t kMany = uint64_t{1} << 61; // another thread did the same, too

    static uint64_t time(uint64_t s) { return s & 0xffffffff; }
    static uint32_t thread(uint64_t s) { return s >> 32 & 1023; }
    static uint32_t second(uint64_t s) { return s >> 42 & 1023; }
    static uint32_t site(uint64_t s) { return s >> 42 & 0x7ffff; } // of a write
    static bool there(uint64_t s) { return (s & kThere) != 0; }
    static bool atomic(uint64_t s) { return (s & kAtomic) != 0; }
    static bool many(uint64_t s) { return (s & kMany) != 0; }

    static uint64_t write(uint64_t time, uint32_t thread, uint32_t site, bool atomic) {
        return kThere | (atomic ? kAtomic : 0) | uint64_t{site & 0x7ffff} << 42 |
               uint64_t{thread} << 32 | (time & 0xffffffff);
    }
    static uint64_t read(uint64_t time, uint32_t thread, bool atomic) {
        return kThere | (atomic ? kAtomic : 0) | uint64_t{thread} << 32 | (time & 0xffffffff);
    }
};

struct Cell {
    uint64_t write = 0;
    uint64_t read = 0;
};
struct CellAt {
    uint64_t& write;
    uint64_t& read;
};

// The cells of a buffer's units, zero at first. Pages of them take no memory until they are
// touched; writes and reads lie apart, because most outputs are never read.
class Cells {
  public:
    static constexpr size_t kPage = 128;
    using Page = std::array<uint64_t, kPage>;

    // Stamps that are not packed take `room_bytes`, and a little more while `at` is called.
    Cells(size_t count, size_t room_bytes);
    ~Cells();
    Cells(Cells&&) noexcept = default;

    size_t size() const { return count_; }
    bool empty() const { return count_ == 0; }

    // For an access that reads or does not; what it may change holds until `keep_room`.
    CellAt at(size_t i, bool reads) {
        Entry& entry = entries_[i / kPage];
        if (entry.writes == nullptr)
            open(i / kPage);
        if (reads && entry.reads == nullptr)
            open_reads(entry);
        return {(*entry.writes)[i % kPage],
                entry.reads != nullptr ? (*entry.reads)[i % kPage] : none_};
    }
    void keep_room() {
        if (open_bytes_ > room_bytes_)
            pack();
    }

    // The writes of units page * kPage and following.
    Page writes(size_t page) const;

  private:
    struct Entry { // open (`reads` only if there were any), packed, or neither
        Page* writes = nullptr;
        Page* reads = nullptr;
        uint8_t* packed = nullptr;
    };

    void open(size_t page);
    void open_reads(Entry& entry);
    void pack();
    Page* spare(); // its contents are anything

    size_t count_;
    size_t room_bytes_;
    size_t open_bytes_ = 0;
    std::vector<Entry> entries_;
    std::vector<uint32_t> open_;
    std::vector<std::unique_ptr<Page>> pages_; // all there are, whether in use or spare
    std::vector<Page*> spare_;
    uint64_t none_ = 0;
};

} // namespace pymetal::cpu
