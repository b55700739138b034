// launch_cost COUNT: what warm launches of the Metal device cost on the double. Prints the messages
// of one launch, then the mean messages and C++ allocations of COUNT launches and living objects
// before and after; last, the messages of a batch of three.
#include "../control.h"
#include "memory.h"
#include "metal/metal.h"
#include "small_engine.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

namespace {
thread_local long allocations = 0;

// The queue's thread lets go of the last command buffer a moment after it is done.
size_t living_objects() {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return metal_double_live_objects(nullptr, 0);
}

template <class Action>
void print_messages(const char* name, Action action) {
    char lines[4096];
    metal_double_trace(1);
    action();
    metal_double_trace(0);
    metal_double_trace_lines(lines, sizeof lines);
    std::printf("%s\n%s", name, lines);
}
} // namespace

// The double is a library of its own with an operator new of its own: these count ours.
void* operator new(size_t size) {
    ++allocations;
    if (auto* memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}

int main(int, char** arguments) {
    using namespace pymetal::metal;
    auto engine = small_engine();
    metal_double_set_engine(&engine);
    auto device = open_device();
    auto pipeline = device->library_from_source("source", {})->pipeline("add_one", {});

    alignas(16384) static float pages[4096];
    const pymetal::Memory array(sizeof pages);
    float out[4] = {};
    unsigned n = 4;
    const BufferSlot copied[] = {{0, out, sizeof out, true}, {1, &n, sizeof n, false}};
    const BufferSlot own[] = {{0, array.data(), sizeof pages, true}, {1, &n, sizeof n, false}};
    const BufferSlot shared[] = {{0, pages, sizeof pages, true}, {1, &n, sizeof n, false}};

    long count = std::atol(arguments[1]);
    for (auto& [name, slots] :
         {std::pair{"copied", copied}, {"array of PyMetal's", own}, {"foreign pages", shared}}) {
        const Launch launch{{slots, 2}, {}, {4, 1, 1}, {4, 1, 1}, 0};
        for (int i = 0; i < 3; ++i)
            pipeline->launch(launch);
        print_messages(name, [&] { pipeline->launch(launch); });
        auto living = living_objects();
        auto messages = metal_double_messages();
        auto before = allocations;
        auto start = std::chrono::steady_clock::now();
        for (long i = 0; i < count; ++i)
            pipeline->launch(launch);
        std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        std::printf("launches %ld messages %g allocations %g living %zu %zu seconds %g\n", count,
                    static_cast<double>(metal_double_messages() - messages) / count,
                    static_cast<double>(allocations - before) / count, living, living_objects(),
                    seconds.count());
    }
    Step steps[3];
    std::ranges::fill(steps, Step{pipeline.get(), {{copied, 2}, {}, {4, 1, 1}, {4, 1, 1}, 0}});
    print_messages("a batch of three", [&] { device->launch_all(steps); });
    return out[0] == static_cast<float>(count + 7) ? 0 : 1;
}
