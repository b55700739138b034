// The Python face of the sanitizer: sites in, reports out.
#include "bindings.h"

#include "cpu/checks.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;
using namespace pymetal::cpu;

namespace {

// (space, index, object bytes, bytes, align, reads, writes, atomic)
using Site = std::tuple<uint32_t, uint32_t, uint64_t, uint32_t, uint32_t, bool, bool, bool>;
// (address, bytes, whether it is an output, room for stamps)
using Buffer = std::tuple<uintptr_t, uint64_t, bool, uint64_t>;

constexpr const char* kKinds[] = {
    "bounds",     "race",        "uninitialised", "misaligned",
    "shift",      "conversion",  "inactive",      "divergent_simdgroup",
    "not_finite", "unreachable", "rewritten"};

void make(Checks* self, const std::vector<Site>& sites) {
    std::vector<CheckSite> all;
    for (const auto& [space, index, object, bytes, align, reads, writes, atomic] : sites) {
        if (space > static_cast<uint32_t>(Space::stack))
            throw std::invalid_argument("no such space");
        all.push_back(
            {static_cast<Space>(space), index, object, bytes, align, writes, reads, atomic});
    }
    new (self) Checks(std::move(all));
}

void begin(Checks& self, const std::vector<Buffer>& buffers, std::vector<uint64_t> arguments,
           bool watch) {
    std::vector<CheckBuffer> all;
    for (const auto& [address, bytes, is_output, room_bytes] : buffers)
        all.push_back({address, bytes, is_output, room_bytes});
    self.begin(std::move(all), std::move(arguments), watch);
}

// (index in the threadgroup, linear index of the threadgroup, site), or None
std::optional<std::tuple<uint32_t, uint64_t, uint32_t>> writer(const Checks& self, uint32_t buffer,
                                                               uint64_t offset) {
    const auto found = self.writer(buffer, offset);
    if (!found)
        return std::nullopt;
    return std::make_tuple(found->thread, found->threadgroup, found->site);
}

} // namespace

void bind_checks(nb::module_& module) {
    nb::class_<CheckReport>(module, "CheckReport", "Something wrong that a checked launch did.")
        .def_prop_ro("kind",
                     [](const CheckReport& r) { return kKinds[static_cast<size_t>(r.kind)]; })
        .def_ro("site", &CheckReport::site)
        .def_ro("other_site", &CheckReport::other_site)
        .def_prop_ro("space", [](const CheckReport& r) { return static_cast<uint32_t>(r.space); })
        .def_ro("index", &CheckReport::index)
        .def_ro("offset", &CheckReport::offset)
        .def_ro("object_bytes", &CheckReport::object_bytes)
        .def_ro("thread", &CheckReport::thread)
        .def_ro("threadgroup", &CheckReport::threadgroup)
        .def_ro("has_other", &CheckReport::has_other)
        .def_ro("other_thread", &CheckReport::other_thread)
        .def_ro("other_threadgroup", &CheckReport::other_threadgroup)
        .def_ro("other_wrote", &CheckReport::other_wrote)
        .def_ro("value", &CheckReport::value)
        .def_ro("has_value", &CheckReport::has_value)
        .def_ro("count", &CheckReport::count);
    nb::class_<Checks>(module, "Checks", "The sanitizer's memory of a launch.")
        .def("__init__", make, "sites"_a,
             "sites: (space, index, object bytes, bytes, align, reads, writes, atomic) of each.")
        .def("begin", begin, "buffers"_a, "arguments"_a, "watch"_a = true,
             "buffers: (address, bytes, is output, room bytes) of each, in the order compiled for: "
             "what is remembered of a buffer is packed where it takes more than its room. "
             "arguments: bytes of each threadgroup argument; watch: whether to see races in device "
             "memory and what is written there.")
        .def("forget", &Checks::forget,
             "Frees what it remembers of memory; reports stay, and nobody wrote anything.")
        .def_prop_ro("reports", &Checks::reports)
        .def("unwritten", &Checks::unwritten, "buffer"_a, "element_bytes"_a,
             "How many elements of a buffer nobody wrote any part of, and the first of them.")
        .def("writer", writer, "buffer"_a, "offset"_a,
             "Who wrote that byte of a buffer last: (index in its threadgroup, linear index of the "
             "threadgroup, site); None if nobody did.");
}
