// Fibers: threads of execution that switch by hand, on stacks of our own.
//
// A fiber never moves to another operating-system thread, and all fibers of a worker share one
// floating-point environment (set once a launch, see float_environment.h), so a switch saves only
// the callee-saved registers.
#pragma once

#include <cstddef>

namespace pymetal::cpu {

// Memory for `count` stacks of equal size, each with a guard page below it, and a wide guard around
// them all.
class StackArea {
  public:
    StackArea() = default;
    ~StackArea();
    StackArea(const StackArea&) = delete;
    StackArea& operator=(const StackArea&) = delete;

    // Makes room for `count` stacks of at least `stack_bytes`; throws std::bad_alloc.
    void reserve(size_t count, size_t stack_bytes);
    void release();                   // frees all of it; reserve() makes room again
    void abandon();                   // to be called when fibers were dropped half way
    char* bottom(size_t index) const; // lowest usable address
    char* top(size_t index) const;    // one past the highest, 16-byte aligned, cache-coloured
    size_t stack_bytes() const { return stack_bytes_; }

  private:
    char* base_ = nullptr;
    size_t count_ = 0;
    size_t stack_bytes_ = 0;
    size_t stride_ = 0;
    size_t around_ = 0;
};

// A suspended flow of control. The default one stands for a worker's own stack.
class Fiber {
  public:
    // Prepares `function(argument)` to start at the next switch; it must never return.
    void prepare(const StackArea& stacks, size_t index, void (*function)(void*), void* argument);

    // Suspends `this`, which must be running, and continues `to`. `last`: `this` never runs again.
    void switch_to(Fiber& to, bool last = false);

    // To be called first by a fiber's function: completes the switch that started it.
    void started();

    // A signal handler has put the worker back on the stack of `this`; no fiber switched to it.
    void took_over();

  private:
    void* stack_pointer_ = nullptr;
    // What AddressSanitizer has to know of a switch; unused otherwise.
    const void* bottom_ = nullptr;
    size_t bytes_ = 0;
    void* fake_stack_ = nullptr;
};

} // namespace pymetal::cpu
