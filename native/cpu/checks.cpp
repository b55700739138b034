#include "checks.h"

#include "threadgroup.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace pymetal::cpu {

namespace {

constexpr uint32_t kDeviceMemory = 1, kThreadgroupMemory = 2; // AIR's mem_flags

} // namespace

Checks::Checks(std::vector<CheckSite> sites) : sites_(std::move(sites)) {
    threadgroup_unit_ = unit_of(Space::variable, 0);
    threadgroup_shift_ = static_cast<uint32_t>(std::countr_zero(threadgroup_unit_));
    for (CheckSite& s : sites_) {
        if (s.space == Space::variable && s.bytes == threadgroup_unit_ && !s.writes && !s.atomic &&
            s.bytes <= s.object_bytes) {
            s.quick_end = s.object_bytes - s.bytes + 1;
            s.quick_mask = std::max(s.align, s.bytes) - 1;
        }
        elsewhere_.resize(std::max<size_t>(elsewhere_.size(), s.bytes));
    }
}

// The widest unit that no access to the memory splits.
uint32_t Checks::unit_of(Space space, uint32_t index) const {
    uint32_t unit = 4;
    for (const CheckSite& s : sites_) {
        const bool here =
            s.space == Space::unknown ||
            (space == Space::buffer ? s.space == space && s.index == index
                                    : s.space == Space::variable || s.space == Space::argument);
        if (here && s.bytes != 0)
            unit = std::min(unit, s.bytes & -s.bytes);
    }
    return unit;
}

uint64_t Checks::limit(uint32_t buffer) const {
    return device_cells_[buffer].empty() ? buffers_[buffer].bytes : 0;
}

void Checks::begin(std::vector<CheckBuffer> buffers, std::vector<uint64_t> arguments, bool watch) {
    buffers_ = std::move(buffers);
    arguments_ = std::move(arguments);
    device_cells_.clear();
    units_.clear();
    for (uint32_t i = 0; i < buffers_.size(); ++i) {
        bool written = false;
        for (const CheckSite& s : sites_)
            written = written ||
                      (watch && s.writes &&
                       (s.space == Space::unknown || (s.space == Space::buffer && s.index == i)));
        units_.push_back(unit_of(Space::buffer, i));
        device_cells_.emplace_back(written ? (buffers_[i].bytes + units_[i] - 1) / units_[i] : 0,
                                   buffers_[i].room_bytes);
    }
    reports_.clear();
    known_.clear();
    starts_.clear();
    clock_ = 1;
}

void Checks::forget() {
    const size_t count = device_cells_.size();
    device_cells_.clear();
    while (device_cells_.size() < count)
        device_cells_.emplace_back(0, 0);
}

void Checks::begin_threadgroup(const ThreadgroupContext& context, size_t memory_bytes) {
    const uint32_t* p = context.threadgroup_position_in_grid;
    const uint32_t* n = context.launch->threadgroups_per_grid;
    threadgroup_ = p[0] + uint64_t{n[0]} * (p[1] + uint64_t{n[1]} * p[2]);
    memory_ = context.memory;
    memory_bytes_ = memory_bytes;
    threadgroup_cells_.resize(
        std::max(threadgroup_cells_.size(), memory_bytes / threadgroup_unit_ + 1));
    ++clock_;
    started_ = threadgroup_fence_ = device_fence_ = clock_;
    std::fill(std::begin(met_), std::end(met_), clock_);
    fences_ = 0;
    note_start();
}

void Checks::barrier_opened() {
    ++clock_;
    if ((fences_ & kThreadgroupMemory) != 0)
        threadgroup_fence_ = clock_;
    if ((fences_ & kDeviceMemory) != 0)
        device_fence_ = clock_;
    fences_ = 0;
}

void Checks::lanes_meet(uint32_t simdgroup, const Exchange (&lanes)[32], uint32_t active,
                        uint32_t existing, uint32_t site) {
    met_[simdgroup] = ++clock_;
    const auto first = static_cast<uint32_t>(std::countr_zero(active));
    CheckReport found{};
    found.site = site;
    found.threadgroup = found.other_threadgroup = threadgroup_;
    if (lanes[first].operation == SimdOperation::barrier && active != existing) {
        found.kind = CheckReport::Kind::divergent_simdgroup;
        found.thread = simdgroup * kLanes + first;
        found.other_thread =
            simdgroup * kLanes + static_cast<uint32_t>(std::countr_zero(existing & ~active));
        found.has_other = true;
        report(found);
        return;
    }
    for (uint32_t rest = active; rest != 0; rest &= rest - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
        const int source = source_lane(lanes, active, lane);
        if (source < 0 || (active >> source & 1) != 0)
            continue;
        found.kind = CheckReport::Kind::inactive;
        found.thread = simdgroup * kLanes + lane;
        found.other_thread = simdgroup * kLanes + static_cast<uint32_t>(source);
        found.has_other = true;
        report(found);
        return;
    }
}

uint32_t Checks::thread() const {
    return Threadgroup::current().thread().thread_index_in_threadgroup;
}

bool Checks::in_order(uint64_t time, uint32_t other, uint32_t self, bool device) const {
    if (time < started_)
        return !device; // another threadgroup: nothing orders them
    return other == self || time < (device ? device_fence_ : threadgroup_fence_) ||
           (other / kLanes == self / kLanes && time < met_[self / kLanes]);
}

void Checks::touch(CellAt cell, const CheckSite& s, bool device, bool undefined,
                   const Access& where, const char* memory, uint32_t unit) {
    const uint64_t fence = device ? device_fence_ : threadgroup_fence_;
    const uint32_t self = thread();
    // What an earlier threadgroup left in threadgroup memory is not there for this one.
    if (!device) {
        if (Stamp::time(cell.write) < started_)
            cell.write = 0;
        if (Stamp::time(cell.read) < started_)
            cell.read = 0;
    }
    if (s.reads && undefined && !Stamp::there(cell.write))
        report(found(CheckReport::Kind::uninitialised, where));
    const uint64_t write = cell.write;
    if (Stamp::there(write) && !(s.atomic && Stamp::atomic(write))) {
        // Two threads that store the same make no difference.
        const auto same = [&] {
            return s.writes && !s.reads && where.has_value &&
                   std::memcmp(memory, &where.value, std::min<uint32_t>(unit, 8)) == 0;
        };
        const uint32_t other = Stamp::thread(write);
        if (!in_order(Stamp::time(write), other, self, device)) {
            if (!same())
                race(where, write, other, true);
        } else if (!s.atomic && Stamp::atomic(write) && Stamp::many(write) &&
                   Stamp::time(write) >= fence)
            race(where, write, other, true);
        else if (device && undefined && s.writes && other != self && !Stamp::atomic(write) &&
                 !(Stamp::there(cell.read) && Stamp::time(cell.read) >= Stamp::time(write)) &&
                 !same())
            report(with_other(found(CheckReport::Kind::rewritten, where), write, other, true));
    }
    const uint64_t read = cell.read;
    if (s.writes && Stamp::there(read) && !(s.atomic && Stamp::atomic(read))) {
        const uint64_t time = Stamp::time(read);
        if (!in_order(time, Stamp::thread(read), self, device))
            race(where, read, Stamp::thread(read), false);
        else if (Stamp::many(read) && !in_order(time, Stamp::second(read), self, device))
            race(where, read, Stamp::second(read), false);
    }
    if (s.reads) {
        const uint64_t mine = Stamp::read(clock_, self, s.atomic);
        const bool foreign = device && Stamp::there(read) && Stamp::time(read) < started_;
        if (!foreign)
            note_read(cell.read, mine, fence);
    }
    if (!s.writes)
        return;
    const uint64_t time = Stamp::time(write);
    const bool unordered = Stamp::there(write) && (time < started_ ? device : time >= fence);
    if (s.atomic && unordered && !Stamp::atomic(write))
        return; // the plain write is what must not meet others
    if (s.atomic && unordered && (Stamp::thread(write) != self || time < started_))
        cell.write |= Stamp::kMany;
    else if (!(s.atomic && unordered && Stamp::many(write)))
        cell.write = Stamp::write(clock_, self, where.site, s.atomic);
}

void* Checks::access(uint32_t site, char* address, char* base, uint64_t bytes,
                     const uint64_t (*value)[2]) {
    const CheckSite& s = sites_[site];
    Access where{site, s.space, s.index, 0, s.object_bytes, 0, value != nullptr};
    if (value != nullptr)
        where.value = (*value)[0];
    // What of the value is written `part` bytes from its start.
    const auto written = [&](uint64_t part) {
        where.has_value = value != nullptr && part < sizeof(*value);
        where.value = where.has_value ? (*value)[part / 8] >> 8 * (part % 8) : 0;
    };
    if (s.space == Space::buffer)
        where.object_bytes = buffers_[s.index].bytes;
    else if (s.space == Space::argument)
        where.object_bytes = arguments_[s.index];
    else if (s.space == Space::unknown && !locate(where, address, base))
        return address;
    where.offset = address - base;
    if (where.offset < 0 || static_cast<uint64_t>(where.offset) > where.object_bytes ||
        bytes > where.object_bytes - static_cast<uint64_t>(where.offset)) {
        report(found(CheckReport::Kind::bounds, where));
        return elsewhere_.data();
    }
    if (s.align > 1 && (where.offset & (s.align - 1)) != 0)
        report(found(CheckReport::Kind::misaligned, where));
    if (where.space == Space::buffer) {
        Cells& cells = device_cells_[where.index];
        if (cells.empty() || bytes == 0)
            return address;
        const uint32_t unit = units_[where.index];
        const uint64_t first = static_cast<uint64_t>(where.offset) / unit;
        const uint64_t last = (static_cast<uint64_t>(where.offset) + bytes - 1) / unit;
        const bool undefined = buffers_[where.index].is_output && !s.atomic;
        for (uint64_t i = first; i <= last; ++i) {
            where.offset = static_cast<int64_t>(i * unit);
            written((i - first) * unit);
            touch(cells.at(i, s.reads), s, true, undefined, where, base + where.offset, unit);
        }
        cells.keep_room();
        return address;
    }
    const auto start = static_cast<uint64_t>(address - memory_);
    if (start + bytes > memory_bytes_)
        return address;
    const int64_t offset = where.offset;
    const uint32_t unit = threadgroup_unit_;
    for (uint64_t i = 0; i < bytes; i += unit) {
        where.offset = offset + static_cast<int64_t>(i);
        written(i);
        Cell& cell = threadgroup_cells_[(start + i) >> threadgroup_shift_];
        touch({cell.write, cell.read}, s, false, true, where, address + i, unit);
    }
    return address;
}

// A pointer whose making the code does not show, or one to several things: whatever it was made
// from, else whatever it points into; false for nothing known.
bool Checks::locate(Access& where, const char* address, char*& base) const {
    const char* made_from = base;
    for (const char* place : {made_from, address}) {
        const auto at = reinterpret_cast<uintptr_t>(place);
        for (uint32_t i = 0; i < buffers_.size(); ++i)
            if (at >= buffers_[i].address &&
                (at < buffers_[i].address + buffers_[i].bytes || at == buffers_[i].address)) {
                where.space = Space::buffer;
                where.index = i;
                where.object_bytes = buffers_[i].bytes;
                base = reinterpret_cast<char*>(buffers_[i].address);
                return true;
            }
        if (place >= memory_ && place < memory_ + memory_bytes_) {
            where.space = Space::variable;
            where.object_bytes = memory_bytes_;
            base = memory_;
            return true;
        }
    }
    return false;
}

void* Checks::access_private(uint32_t site, char* address, char* base, char* shadow,
                             uint64_t bytes) {
    const CheckSite& s = sites_[site];
    const Access where{site, Space::stack, 0, address - base, s.object_bytes, 0, false};
    if (where.offset < 0 || static_cast<uint64_t>(where.offset) + bytes > s.object_bytes) {
        report(found(CheckReport::Kind::bounds, where));
        return elsewhere_.data();
    }
    if (s.reads && std::memchr(shadow + where.offset, 0, bytes) != nullptr)
        report(found(CheckReport::Kind::uninitialised, where));
    if (s.writes)
        std::memset(shadow + where.offset, 1, bytes);
    return address;
}

} // namespace pymetal::cpu
