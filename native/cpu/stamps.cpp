#include "stamps.h"

#include "faults.h"

#include <algorithm>
#include <cstring>

namespace pymetal::cpu {

namespace {

using Page = Cells::Page;

// How many units further the pattern begins anew, most likely first: neighbours, members of structs
// and lanes of vectors, pixels; with that of a page all but a few stamps are zero.
constexpr uint8_t kPeriods[] = {4, 2, 3, 8, 6, 12, 16, Cells::kPage};
constexpr size_t kMostOfNeighbours = 16;
constexpr size_t kFew = 6; // that no other period would better by much

// A stamp is expected to be as far from the one a period before as that is from its own.
size_t unexpected(const Page& stamps, size_t period) {
    size_t count = 0, i = 0;
    for (; i < period; ++i)
        count += stamps[i] != 0 ? 1 : 0;
    for (; i < std::min(2 * period, stamps.size()); ++i)
        count += stamps[i] != stamps[i - period] ? 1 : 0;
    for (; i < stamps.size(); ++i)
        count += stamps[i] + stamps[i - 2 * period] != 2 * stamps[i - period] ? 1 : 0;
    return count;
}

uint64_t expected(const Page& stamps, size_t i, size_t period) {
    if (i < period)
        return 0;
    if (i < 2 * period)
        return stamps[i - period];
    return 2 * stamps[i - period] - stamps[i - 2 * period];
}

// Packed: the period, how many stamps are not as expected, and these with their places. Or a zero
// and all stamps, where that is shorter.
constexpr size_t kExceptionBytes = 1 + sizeof(uint64_t);
constexpr size_t kMostBytes = 1 + sizeof(Page);

uint8_t* put(uint8_t* out, size_t i, uint64_t stamp) {
    *out++ = static_cast<uint8_t>(i);
    std::memcpy(out, &stamp, sizeof stamp);
    return out + sizeof stamp;
}

// With a period of one, if it has few exceptions; else nothing. Rows of threadgroups that lie side
// by side have the same step, so only two exceptions in a row make a new one.
uint8_t* pack_neighbours(const Page& stamps, uint8_t* out) {
    uint8_t* end = out + 2;
    size_t count = 0;
    uint64_t before = 0, step = 0;
    bool again = false;
    for (size_t i = 0; i < stamps.size(); ++i) {
        const uint64_t stamp = stamps[i];
        const bool is_exception = stamp != before + step;
        if (is_exception) {
            if (++count > kMostOfNeighbours)
                return nullptr;
            end = put(end, i, stamp);
            if (again)
                step = stamp - before;
        }
        again = is_exception;
        before = stamp;
    }
    out[0] = 1;
    out[1] = static_cast<uint8_t>(count);
    return end;
}

uint8_t* pack_stamps(const Page& stamps, uint8_t* out) {
    if (uint8_t* end = pack_neighbours(stamps, out))
        return end;
    uint8_t period = 0;
    size_t fewest = (kMostBytes - 2) / kExceptionBytes;
    for (const uint8_t p : kPeriods) {
        const size_t count = unexpected(stamps, p);
        if (count < fewest) {
            fewest = count;
            period = p;
        }
        if (fewest <= kFew)
            break;
    }
    *out++ = period;
    if (period == 0) {
        std::memcpy(out, stamps.data(), sizeof(Page));
        return out + sizeof(Page);
    }
    *out++ = static_cast<uint8_t>(fewest);
    for (size_t i = 0; i < stamps.size(); ++i)
        if (stamps[i] != expected(stamps, i, period))
            out = put(out, i, stamps[i]);
    return out;
}

const uint8_t* unpack_stamps(const uint8_t* in, Page& stamps) {
    const uint8_t period = *in++;
    if (period == 0) {
        std::memcpy(stamps.data(), in, sizeof(Page));
        return in + sizeof(Page);
    }
    const uint8_t* const end = in + 1 + *in * kExceptionBytes;
    ++in;
    uint64_t before = 0, step = 0;
    size_t i = 0;
    while (i < stamps.size()) {
        const size_t first = i;
        for (const size_t until = in == end ? stamps.size() : *in; i < until; ++i)
            stamps[i] = period == 1 ? before += step : expected(stamps, i, period);
        if (i == stamps.size())
            break;
        std::memcpy(&stamps[i], in + 1, sizeof(uint64_t));
        in += kExceptionBytes;
        if (i == first && i != 0)
            step = stamps[i] - before;
        before = stamps[i++];
    }
    return in;
}

// Where data changes in place, reads are of the thread that writes next. So a read is packed as
// zero if it is that, and the other way round as one, which is no stamp; if all are zero, not at
// all.
constexpr uint64_t kNone = 1;
enum Reads : uint8_t { none, as_writes, own };

uint64_t likely_read(uint64_t write) {
    return write & Stamp::write(~uint64_t{0}, 1023, 0, true);
}

bool are_likely(const Page& reads, const Page& writes) {
    uint64_t differing = 0;
    for (size_t i = 0; i < reads.size(); ++i)
        differing |= reads[i] ^ likely_read(writes[i]);
    return differing == 0;
}

uint64_t read_to_pack(uint64_t read, uint64_t write) {
    const uint64_t likely = likely_read(write);
    return read == likely ? 0 : read == 0 ? kNone : read;
}

uint64_t read_unpacked(uint64_t packed, uint64_t write) {
    return packed == 0 ? likely_read(write) : packed == kNone ? 0 : packed;
}

} // namespace

Cells::Cells(size_t count, size_t room_bytes)
    : count_(count), room_bytes_(room_bytes), entries_((count + kPage - 1) / kPage) {}

Cells::~Cells() {
    for (const Entry& entry : entries_)
        delete[] entry.packed;
}

Cells::Page* Cells::spare() {
    open_bytes_ += sizeof(Page);
    if (spare_.empty())
        pages_.push_back(std::make_unique<Page>());
    Page* page = spare_.empty() ? pages_.back().get() : spare_.back();
    if (!spare_.empty())
        spare_.pop_back();
    return page;
}

void Cells::open(size_t page) {
    const Uninterrupted allocating;
    Entry& entry = entries_[page];
    entry.writes = spare();
    open_.push_back(static_cast<uint32_t>(page));
    if (entry.packed == nullptr)
        return entry.writes->fill(0);
    const uint8_t reads = *entry.packed;
    const uint8_t* rest = unpack_stamps(entry.packed + 1, *entry.writes);
    if (reads == Reads::as_writes) {
        entry.reads = spare();
        std::transform(entry.writes->begin(), entry.writes->end(), entry.reads->begin(),
                       likely_read);
    } else if (reads == Reads::own) {
        entry.reads = spare();
        unpack_stamps(rest, *entry.reads);
        std::transform(entry.reads->begin(), entry.reads->end(), entry.writes->begin(),
                       entry.reads->begin(), read_unpacked);
    }
    delete[] entry.packed;
    entry.packed = nullptr;
}

void Cells::open_reads(Entry& entry) {
    const Uninterrupted allocating;
    entry.reads = spare();
    entry.reads->fill(0);
}

void Cells::pack() {
    const Uninterrupted allocating;
    uint8_t packed[1 + 2 * kMostBytes];
    for (const uint32_t page : open_) {
        Entry& entry = entries_[page];
        uint8_t* end = pack_stamps(*entry.writes, packed + 1);
        packed[0] = Reads::none;
        if (entry.reads != nullptr) {
            packed[0] = are_likely(*entry.reads, *entry.writes) ? Reads::as_writes : Reads::own;
            if (packed[0] == Reads::own) {
                std::transform(entry.reads->begin(), entry.reads->end(), entry.writes->begin(),
                               entry.reads->begin(), read_to_pack);
                end = pack_stamps(*entry.reads, end);
            }
            spare_.push_back(entry.reads);
        }
        spare_.push_back(entry.writes);
        entry.packed = new uint8_t[static_cast<size_t>(end - packed)];
        std::copy(packed, end, entry.packed);
        entry.writes = entry.reads = nullptr;
    }
    open_.clear();
    open_bytes_ = 0;
}

Cells::Page Cells::writes(size_t page) const {
    const Entry& entry = entries_[page];
    Page stamps{};
    if (entry.writes != nullptr)
        stamps = *entry.writes;
    else if (entry.packed != nullptr)
        unpack_stamps(entry.packed + 1, stamps);
    return stamps;
}

} // namespace pymetal::cpu
