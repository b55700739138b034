// What the sanitizer tells: reports of a launch, with both parties, and who wrote what.
#include "checks.h"

#include "faults.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pymetal::cpu {

CheckReport* Checks::report(CheckReport report) {
    const Uninterrupted allocating;
    const auto [place, is_new] = known_.try_emplace({report.kind, report.site}, reports_.size());
    if (!is_new) {
        if (place->second < reports_.size())
            ++reports_[place->second].count;
        return nullptr;
    }
    if (reports_.size() >= kMostReports)
        return nullptr;
    reports_.push_back(report);
    return &reports_.back();
}

void Checks::note_start() {
    if (!starts_.empty()) {
        Starts& s = starts_.back();
        if (s.count == 1) {
            s.clock_step = clock_ - s.clock;
            s.threadgroup_step = threadgroup_ - s.threadgroup; // which may wrap
        }
        if (clock_ == s.clock + s.count * s.clock_step &&
            threadgroup_ == s.threadgroup + s.count * s.threadgroup_step) {
            ++s.count;
            return;
        }
    }
    starts_.push_back({clock_, threadgroup_});
}

uint64_t Checks::threadgroup_at(uint64_t time) const {
    const auto after =
        std::upper_bound(starts_.begin(), starts_.end(), time,
                         [](uint64_t t, const Starts& starts) { return t < starts.clock; });
    if (after == starts_.begin())
        return threadgroup_;
    const Starts& s = *std::prev(after);
    const uint64_t place =
        s.count == 1 ? 0 : std::min((time - s.clock) / s.clock_step, s.count - 1);
    return s.threadgroup + place * s.threadgroup_step;
}

CheckReport Checks::found(CheckReport::Kind kind, const Access& where) const {
    CheckReport report{};
    report.kind = kind;
    report.site = where.site;
    report.space = where.space;
    report.index = where.index;
    report.offset = where.offset;
    report.object_bytes = where.object_bytes;
    report.thread = thread();
    report.threadgroup = threadgroup_;
    report.value = where.value;
    report.has_value = where.has_value;
    return report;
}

CheckReport Checks::with_other(CheckReport report, uint64_t stamp, uint32_t other,
                               bool wrote) const {
    report.has_other = true;
    report.other_wrote = wrote;
    report.other_thread = other;
    report.other_threadgroup = threadgroup_at(Stamp::time(stamp));
    report.other_site = wrote ? static_cast<int64_t>(Stamp::site(stamp)) : -1;
    return report;
}

void Checks::race(const Access& where, uint64_t stamp, uint32_t other, bool wrote) {
    report(with_other(found(CheckReport::Kind::race, where), stamp, other, wrote));
}

void Checks::shift(uint32_t site, uint64_t count, uint32_t width) {
    if (count >= width)
        report(found(CheckReport::Kind::shift, {site, Space::unknown, 0, 0, width, count, true}));
}

void Checks::conversion(uint32_t site, double value, double lowest, double highest) {
    // Truncated towards zero it must be there; NaN compares false.
    if (std::trunc(value) >= lowest && std::trunc(value) <= highest)
        return;
    report(found(CheckReport::Kind::conversion,
                 {site, Space::unknown, 0, 0, 0, std::bit_cast<uint64_t>(value), true}));
}

void Checks::not_finite(uint32_t site, double value) {
    report(found(CheckReport::Kind::not_finite,
                 {site, Space::unknown, 0, 0, 0, std::bit_cast<uint64_t>(value), true}));
}

void Checks::unreachable(uint32_t site) {
    report(found(CheckReport::Kind::unreachable, {site, Space::unknown, 0, 0, 0, 0, false}));
}

std::tuple<uint64_t, uint64_t> Checks::unwritten(uint32_t index, uint32_t element_bytes) const {
    const uint64_t bytes = buffers_[index].bytes, unit = units_[index];
    const Cells& cells = device_cells_[index];
    uint64_t count = 0, first = 0;
    Cells::Page writes{};
    uint64_t page = ~uint64_t{0};
    const auto is_written = [&](uint64_t i) {
        if (page != i / Cells::kPage)
            writes = cells.writes(page = i / Cells::kPage);
        return Stamp::there(writes[i % Cells::kPage]);
    };
    for (uint64_t at = 0; at < bytes; at += element_bytes) {
        bool written = false;
        for (uint64_t i = at / unit; i * unit < at + element_bytes && i < cells.size(); ++i)
            written = written || is_written(i);
        if (!written && count++ == 0)
            first = at / element_bytes;
    }
    return {count, first};
}

std::optional<Checks::Writer> Checks::writer(uint32_t index, uint64_t offset) const {
    if (index >= buffers_.size() || offset >= buffers_[index].bytes || device_cells_[index].empty())
        return std::nullopt;
    const uint64_t unit = offset / units_[index];
    const uint64_t write = device_cells_[index].writes(unit / Cells::kPage)[unit % Cells::kPage];
    if (!Stamp::there(write))
        return std::nullopt;
    return Writer{Stamp::thread(write), threadgroup_at(Stamp::time(write)), Stamp::site(write)};
}

} // namespace pymetal::cpu
