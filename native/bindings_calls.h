// Warm calls: values like those of an earlier call, bound without Python code for each.
//
// pymetal/arguments.py and geometry.py have the rules and the words. What is here takes only what
// certainly keeps them, exact types and all, and leaves everything else to Python.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nanobind/nanobind.h>
#include <vector>

namespace pymetal {

inline constexpr size_t kMostBuffers = 31; // buffer(0) to buffer(30)

using Size = std::array<uint32_t, 3>;

// A geometry that was checked and launched before, and what launches it.
struct Route {
    Size grid, threadgroup;
    bool picks_threadgroup; // the caller gave none
    nanobind::object launcher;
    std::vector<uint8_t> order; // which argument's address comes when, as the code was compiled
};

// One argument's memory: an array's, or the number itself.
struct BoundValue {
    void* memory = nullptr;
    size_t size_bytes = 0;
    alignas(16) std::array<std::byte, 16> number{};
};

// The values of one call: their memory, which it keeps alive, and numbers. Does not move, since
// `bound` points into itself.
struct Bound {
    Bound(nanobind::handle caller, std::shared_ptr<const Route> taken, nanobind::object given,
          size_t count)
        : kernel(nanobind::borrow(caller)), route(std::move(taken)), values(std::move(given)),
          bound(new BoundValue[count]) {}
    Bound(const Bound&) = delete;

    nanobind::object kernel; // which was called
    std::shared_ptr<const Route> route;
    nanobind::object values;             // as given, outputs in the places of their markers
    nanobind::object results;            // what the call returns: None, an array or a tuple of them
    std::unique_ptr<BoundValue[]> bound; // one for each value
};

} // namespace pymetal
