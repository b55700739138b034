#include "fiber.h"

#include "../memory.h"
#include "assembly.h"

#include <cstdint>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define PYMETAL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PYMETAL_ASAN 1
#endif
#endif
#ifdef PYMETAL_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// pymetal_switch_fiber(void** save, void* to): pushes the callee-saved registers, stores the stack
// pointer to *save, takes `to` as the stack pointer and pops what was pushed there. On x86-64 it
// ends in a jump: a return would go elsewhere than the processor predicts. pymetal_start_fiber:
// where a new fiber's first switch returns to; calls function(argument), which prepare() left in
// callee-saved registers.
extern "C" void pymetal_switch_fiber(void** save, void* to);
extern "C" void pymetal_start_fiber();

// clang-format off
#if defined(__x86_64__)
asm(PYMETAL_FUNCTION(pymetal_switch_fiber)
    PYMETAL_PUSH_CALLEE_SAVED
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    PYMETAL_POP_CALLEE_SAVED
    "  popq %rcx\n"
    "  jmpq *%rcx\n"
    PYMETAL_FUNCTION(pymetal_start_fiber)
    "  movq %r12, %rdi\n"
    "  callq *%rbx\n"
    "  ud2\n");
constexpr size_t kFrameWords = 7; // r15 r14 r13 r12 rbx rbp, return address
constexpr size_t kArgumentWord = 3, kFunctionWord = 4, kReturnWord = 6;
#elif defined(__aarch64__)
asm(PYMETAL_FUNCTION(pymetal_switch_fiber)
    PYMETAL_PUSH_CALLEE_SAVED
    "  mov x2, sp\n"
    "  str x2, [x0]\n"
    "  mov sp, x1\n"
    PYMETAL_POP_CALLEE_SAVED
    "  ret\n"
    PYMETAL_FUNCTION(pymetal_start_fiber)
    "  mov x0, x19\n"
    "  blr x20\n"
    "  brk #1\n");
constexpr size_t kFrameWords = 20;
constexpr size_t kArgumentWord = 0, kFunctionWord = 1, kReturnWord = 11;
#endif
// clang-format on

namespace pymetal::cpu {

namespace {

size_t page_bytes() {
    static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

// Makes a page fault on access. Linux 6.13's guard markers cost no mapping of their own; mprotect
// splits the mapping, and a process has room for some 65,000 of those.
void guard(char* page) {
#ifdef __linux__
    constexpr int kMadvGuardInstall = 102;
    if (madvise(page, page_bytes(), kMadvGuardInstall) == 0)
        return;
#endif
    if (mprotect(page, page_bytes(), PROT_NONE) != 0)
        throw std::bad_alloc();
}

} // namespace

StackArea::~StackArea() {
    release();
}

void StackArea::release() {
    if (base_ == nullptr)
        return;
#ifdef PYMETAL_ASAN
    ASAN_UNPOISON_MEMORY_REGION(base_, count_ * stride_);
#endif
    munmap(base_ - around_, count_ * stride_ + 2 * around_);
    base_ = nullptr;
    count_ = stack_bytes_ = 0;
}

void StackArea::reserve(size_t count, size_t stack_bytes) {
    if (count <= count_ && stack_bytes <= stack_bytes_)
        return;
    if (count < count_)
        count = count_;
    if (stack_bytes < stack_bytes_)
        stack_bytes = stack_bytes_;
    release();
    const size_t page = page_bytes();
    stack_bytes_ = (stack_bytes + page - 1) / page * page;
    stride_ = stack_bytes_ + page;
    around_ = guard_bytes();
    void* memory = mmap(nullptr, count * stride_ + 2 * around_, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    base_ = static_cast<char*>(memory) + around_;
    count_ = count;
    try {
        if (mprotect(base_, count * stride_, PROT_READ | PROT_WRITE) != 0)
            throw std::bad_alloc();
        for (size_t i = 0; i < count; ++i)
            guard(base_ + i * stride_);
    } catch (...) {
        release();
        throw;
    }
}

void StackArea::abandon() {
#ifdef PYMETAL_ASAN
    for (size_t i = 0; i < count_; ++i)
        ASAN_UNPOISON_MEMORY_REGION(bottom(i), stack_bytes_);
#endif
}

char* StackArea::bottom(size_t index) const {
    return base_ + index * stride_ + page_bytes();
}

// Equal depths of neighbouring stacks would meet in the same cache sets: shift them by a prime
// number of cache-line triples (halves the cost of a switch).
char* StackArea::top(size_t index) const {
    return base_ + (index + 1) * stride_ - (index % 61) * 192;
}

void Fiber::prepare(const StackArea& stacks, size_t index, void (*function)(void*),
                    void* argument) {
    auto* frame = reinterpret_cast<uintptr_t*>(stacks.top(index)) - kFrameWords;
#ifdef PYMETAL_ASAN // the last frames of the stack's previous fiber never returned
    ASAN_UNPOISON_MEMORY_REGION(stacks.top(index) - 8192, 8192);
#endif
    for (size_t i = 0; i < kFrameWords; ++i)
        frame[i] = 0;
    frame[kArgumentWord] = reinterpret_cast<uintptr_t>(argument);
    frame[kFunctionWord] = reinterpret_cast<uintptr_t>(function);
    frame[kReturnWord] = reinterpret_cast<uintptr_t>(&pymetal_start_fiber);
    stack_pointer_ = frame;
    bottom_ = stacks.bottom(index);
    bytes_ = stacks.stack_bytes();
    fake_stack_ = nullptr;
}

#ifdef PYMETAL_ASAN
namespace {
thread_local Fiber* suspended = nullptr; // the fiber that the running one was switched from
}

void Fiber::switch_to(Fiber& to, bool last) {
    suspended = this;
    __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, to.bottom_, to.bytes_);
    pymetal_switch_fiber(&stack_pointer_, to.stack_pointer_);
    started();
}

// Learns the bounds of the stack it came from, which is how a worker's own stack becomes known.
void Fiber::started() {
    Fiber* from = suspended;
    __sanitizer_finish_switch_fiber(fake_stack_, &from->bottom_, &from->bytes_);
}

void Fiber::took_over() {
    __sanitizer_start_switch_fiber(nullptr, bottom_, bytes_);
    __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
}
#else
void Fiber::switch_to(Fiber& to, bool) {
    pymetal_switch_fiber(&stack_pointer_, to.stack_pointer_);
}

void Fiber::started() {}

void Fiber::took_over() {}
#endif

} // namespace pymetal::cpu
