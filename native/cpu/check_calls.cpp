// What instrumented code calls; see pymetal/cpu/checks/runtime.py.
#include "checks.h"
#include "simdgroup_matrix.h"
#include "symbols.h"
#include "threadgroup.h"

#include <utility>

namespace pymetal::cpu {

namespace {

Checks& current() {
    return *Threadgroup::current().checks();
}

} // namespace

// Here, and not with the others, for the compiler to put it into its one caller.
bool Checks::read_settled(uint32_t site, const char* address, const char* base) {
    const CheckSite& s = sites_[site];
    const auto offset = static_cast<uint64_t>(address - base);
    if (offset >= s.quick_end || (offset & s.quick_mask) != 0)
        return false;
    Cell& cell = threadgroup_cells_[static_cast<uint64_t>(address - memory_) >> threadgroup_shift_];
    const uint64_t written = Stamp::time(cell.write), fence = threadgroup_fence_;
    if (!Stamp::there(cell.write) || written >= fence || written < started_)
        return false;
    if (!Stamp::many(cell.read) || Stamp::time(cell.read) < fence)
        note_read(cell.read, Stamp::read(clock_, thread(), false), fence);
    return true;
}

} // namespace pymetal::cpu

using namespace pymetal::cpu;

extern "C" {

void* pymetal_check(void* address, void* base, uint32_t site, uint64_t bytes) {
    if (current().read_settled(site, static_cast<char*>(address), static_cast<char*>(base)))
        return address;
    return current().access(site, static_cast<char*>(address), static_cast<char*>(base), bytes,
                            nullptr);
}

void* pymetal_check_store(void* address, void* base, uint32_t site, uint64_t bytes, uint64_t low,
                          uint64_t high) {
    const uint64_t value[2] = {low, high};
    return current().access(site, static_cast<char*>(address), static_cast<char*>(base), bytes,
                            &value);
}

void* pymetal_check_private(void* address, void* base, void* shadow, uint32_t site,
                            uint64_t bytes) {
    return current().access_private(site, static_cast<char*>(address), static_cast<char*>(base),
                                    static_cast<char*>(shadow), bytes);
}

uint64_t pymetal_check_limit(uint32_t buffer) {
    return current().limit(buffer);
}

uint8_t pymetal_check_fill() {
    return Threadgroup::current().fill();
}

void* pymetal_check_matrix(void* address, void* base, uint64_t stride, uint64_t x, uint64_t y,
                           uint32_t transpose, uint32_t element, uint32_t site) {
    Checks& checks = current();
    const uint32_t lane = Threadgroup::current().thread().thread_index_in_simdgroup;
    const uint32_t bytes = checks.bytes(site);
    uint64_t row = matrix_row(lane), column = matrix_column(lane) + element;
    if (transpose != 0)
        std::swap(row, column);
    char* place = static_cast<char*>(address) + ((y + row) * stride + x + column) * bytes;
    return checks.access(site, place, static_cast<char*>(base), bytes, nullptr);
}

void pymetal_check_fence(uint32_t flags) {
    current().fence(flags);
}

void pymetal_check_shift(uint64_t count, uint32_t width, uint32_t site) {
    current().shift(site, count, width);
}

void pymetal_check_conversion(double value, double lowest, double highest, uint32_t site) {
    current().conversion(site, value, lowest, highest);
}

void pymetal_check_not_finite(double value, uint32_t site) {
    current().not_finite(site, value);
}

// No code follows: the threadgroup ends.
void pymetal_check_unreachable(uint32_t site) {
    current().unreachable(site);
    __builtin_trap();
}
}

namespace pymetal::cpu {

void add_check_symbols(SymbolTable& table) {
    table.add("pymetal_check", pymetal_check);
    table.add("pymetal_check_store", pymetal_check_store);
    table.add("pymetal_check_private", pymetal_check_private);
    table.add("pymetal_check_limit", pymetal_check_limit);
    table.add("pymetal_check_fill", pymetal_check_fill);
    table.add("pymetal_check_matrix", pymetal_check_matrix);
    table.add("pymetal_check_fence", pymetal_check_fence);
    table.add("pymetal_check_shift", pymetal_check_shift);
    table.add("pymetal_check_conversion", pymetal_check_conversion);
    table.add("pymetal_check_not_finite", pymetal_check_not_finite);
    table.add("pymetal_check_unreachable", pymetal_check_unreachable);
}

} // namespace pymetal::cpu
