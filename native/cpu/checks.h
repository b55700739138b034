// The sanitizer's memory of a launch: who touched what when, and what was wrong with it.
//
// Instrumented code (pymetal/cpu/checks) calls pymetal_check before each access. Bounds come from
// the object that the pointer was made from, not from where it points, so that one array running
// into the next is seen. Races come from shadow cells: each unit of memory remembers its last write
// and reads with their time, a clock that barriers advance. Two accesses of two threads are in
// order if a barrier that both take part in lies between; no schedule can hide that they are not.
// A checked launch runs on one thread, so nothing here is locked.
#pragma once

#include "context.h"
#include "simdgroup.h"
#include "stamps.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace pymetal::cpu {

enum class Space : uint8_t { unknown, buffer, variable, argument, stack };

// One access in the code.
struct CheckSite {
    Space space = Space::unknown;
    uint32_t index = 0;        // of the buffer or threadgroup argument, in the code's order
    uint64_t object_bytes = 0; // of a variable or private array
    uint32_t bytes = 0;        // accessed
    uint32_t align = 1;
    bool writes = false;
    bool reads = false;
    bool atomic = false;
    // Offsets at which Checks::read_settled may be tried: below it, with none of these bits.
    uint64_t quick_end = 0;
    uint32_t quick_mask = 0;
};

// A buffer of the launch.
struct CheckBuffer {
    uintptr_t address = 0;
    uint64_t bytes = 0;
    bool is_output = false;  // undefined until written
    uint64_t room_bytes = 0; // what its stamps may take before they are packed
};

struct CheckReport {
    enum class Kind : uint8_t {
        bounds,
        race,
        uninitialised,
        misaligned,
        shift,
        conversion,
        inactive,
        divergent_simdgroup,
        not_finite,
        unreachable,
        rewritten, // an output element, with another value, by another thread; nobody read the
                   // first
    };
    Kind kind;
    uint32_t site;
    int64_t other_site = -1; // of the other party; -1 where that is not known
    Space space = Space::unknown;
    uint32_t index = 0;
    int64_t offset = 0; // bytes from the object's start
    uint64_t object_bytes = 0;
    uint32_t thread = 0, other_thread = 0;           // indices in their threadgroups
    uint64_t threadgroup = 0, other_threadgroup = 0; // linear indices
    bool has_other = false;
    bool other_wrote = false;
    uint64_t value = 0;
    bool has_value = false;
    uint64_t count = 1; // how often the same happened at the site
};

class Checks {
  public:
    explicit Checks(std::vector<CheckSite> sites);
    Checks(const Checks&) = delete;
    Checks& operator=(const Checks&) = delete;

    // Before a launch. `arguments`: bytes of each threadgroup argument. Without `watch` of
    // buffers only their bounds matter.
    void begin(std::vector<CheckBuffer> buffers, std::vector<uint64_t> arguments, bool watch);
    // Frees the stamps of buffers.
    void forget();
    void begin_threadgroup(const ThreadgroupContext& context, size_t memory_bytes);

    // From instrumented code. An address that must not be touched is replaced by another.
    // `value`: the first 16 bytes that are written, if that is known.
    void* access(uint32_t site, char* address, char* base, uint64_t bytes,
                 const uint64_t (*value)[2]);
    // Does what `access` would, if it is what most reads of threadgroup memory are: of one unit
    // that was written before the last barrier. Returns false, and does nothing, if it is not.
    bool read_settled(uint32_t site, const char* address, const char* base);
    void* access_private(uint32_t site, char* address, char* base, char* shadow, uint64_t bytes);
    void shift(uint32_t site, uint64_t count, uint32_t width);
    void conversion(uint32_t site, double value, double lowest, double highest);
    void not_finite(uint32_t site, double value);
    void unreachable(uint32_t site);
    void fence(uint32_t flags) { fences_ |= flags; }

    // From the scheduler.
    void barrier_opened();
    void lanes_meet(uint32_t simdgroup, const Exchange (&lanes)[32], uint32_t active,
                    uint32_t existing, uint32_t site);

    uint32_t bytes(uint32_t site) const { return sites_[site].bytes; }
    // Offsets below it may be read without asking: nobody writes the buffer. 0: always ask.
    uint64_t limit(uint32_t buffer) const;

    const std::vector<CheckReport>& reports() const { return reports_; }
    // Elements of buffer `index` of which nobody wrote any part: how many, and the first.
    std::tuple<uint64_t, uint64_t> unwritten(uint32_t index, uint32_t element_bytes) const;

    struct Writer {
        uint32_t thread = 0;      // index in its threadgroup
        uint64_t threadgroup = 0; // linear index
        uint32_t site = 0;
    };
    // Who wrote that byte of buffer `index` last.
    std::optional<Writer> writer(uint32_t index, uint64_t offset) const;

  private:
    struct Access { // an access while it is checked
        uint32_t site;
        Space space;
        uint32_t index;
        int64_t offset;
        uint64_t object_bytes;
        uint64_t value;
        bool has_value;
    };

    bool locate(Access& where, const char* address, char*& base) const;
    // `read`: who did so before in this threadgroup; two threads are remembered after a `fence`.
    static void note_read(uint64_t& read, uint64_t mine, uint64_t fence) {
        if (!Stamp::there(read) || Stamp::time(read) < fence)
            read = mine;
        else if (!Stamp::many(read))
            read = Stamp::thread(read) == Stamp::thread(mine)
                       ? mine
                       : mine | Stamp::kMany | uint64_t{Stamp::thread(read)} << 42;
    }
    void touch(CellAt cell, const CheckSite& s, bool device, bool undefined, const Access& where,
               const char* memory, uint32_t unit);
    CheckReport found(CheckReport::Kind kind, const Access& where) const;
    CheckReport with_other(CheckReport report, uint64_t stamp, uint32_t other, bool wrote) const;
    void race(const Access& where, uint64_t stamp, uint32_t other, bool wrote);
    bool in_order(uint64_t time, uint32_t other, uint32_t self, bool device) const;
    void note_start();
    uint64_t threadgroup_at(uint64_t time) const;
    CheckReport* report(CheckReport report);
    uint32_t thread() const;
    uint32_t unit_of(Space space, uint32_t index) const;

    static constexpr size_t kMostReports = 1000;

    std::vector<CheckSite> sites_;
    std::vector<CheckBuffer> buffers_;
    std::vector<uint64_t> arguments_;
    std::vector<uint32_t> units_; // of each buffer: bytes a cell stands for
    uint32_t threadgroup_unit_ = 4;
    uint32_t threadgroup_shift_ = 2;  // log2 of it
    std::vector<Cells> device_cells_; // none for buffers that nobody writes
    std::vector<Cell> threadgroup_cells_;
    char* memory_ = nullptr;
    size_t memory_bytes_ = 0;

    uint64_t clock_ = 1;
    uint64_t started_ = 1;           // when the threadgroup did
    uint64_t threadgroup_fence_ = 1; // when its last barrier that orders threadgroup memory opened
    uint64_t device_fence_ = 1;
    uint64_t met_[kMaxThreads / kLanes] = {}; // when lanes of a simdgroup last met
    uint32_t fences_ = 0;
    uint64_t threadgroup_ = 0;
    // When threadgroups started: `count` of them, with the same distances of times and indices.
    struct Starts {
        uint64_t clock, threadgroup;
        uint64_t clock_step = 0, threadgroup_step = 0;
        uint64_t count = 1;
    };
    std::vector<Starts> starts_;

    std::vector<CheckReport> reports_;
    std::map<std::pair<CheckReport::Kind, uint32_t>, size_t> known_;
    std::vector<char> elsewhere_; // as large as the largest access
};

} // namespace pymetal::cpu

extern "C" {
void* pymetal_check(void* address, void* base, uint32_t site, uint64_t bytes);
void* pymetal_check_store(void* address, void* base, uint32_t site, uint64_t bytes, uint64_t low,
                          uint64_t high);
void* pymetal_check_private(void* address, void* base, void* shadow, uint32_t site, uint64_t bytes);
uint64_t pymetal_check_limit(uint32_t buffer);
uint8_t pymetal_check_fill();
// Of a lane's two elements of a matrix, `element`.
void* pymetal_check_matrix(void* address, void* base, uint64_t stride, uint64_t x, uint64_t y,
                           uint32_t transpose, uint32_t element, uint32_t site);
void pymetal_check_fence(uint32_t flags);
void pymetal_check_shift(uint64_t count, uint32_t width, uint32_t site);
void pymetal_check_conversion(double value, double lowest, double highest, uint32_t site);
void pymetal_check_not_finite(double value, uint32_t site);
void pymetal_check_unreachable(uint32_t site);
}
