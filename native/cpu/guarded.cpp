#include "guarded.h"

#include "assembly.h"

#include <new>
#include <sys/mman.h>

// pymetal_guard(void** resume, void (*function)(void*), void* argument): pushes the callee-saved
// registers, stores the stack pointer to *resume, calls function(argument), pops and returns.
// pymetal_resume: where it pops. A signal handler that continues there, with the stack pointer that
// was stored, makes pymetal_guard return.
extern "C" void pymetal_guard(void** resume, void (*function)(void*), void* argument);
extern "C" void pymetal_resume();

// clang-format off
#if defined(__x86_64__)
asm(PYMETAL_FUNCTION(pymetal_guard)
    PYMETAL_PUSH_CALLEE_SAVED
    "  movq %rsp, (%rdi)\n"
    "  subq $8, %rsp\n"
    "  movq %rdx, %rdi\n"
    "  callq *%rsi\n"
    "  addq $8, %rsp\n"
    "  jmp 1f\n"
    PYMETAL_FUNCTION(pymetal_resume)
    "1:\n"
    PYMETAL_POP_CALLEE_SAVED
    "  ret\n");
#elif defined(__aarch64__)
asm(PYMETAL_FUNCTION(pymetal_guard)
    PYMETAL_PUSH_CALLEE_SAVED
    "  mov x3, sp\n"
    "  str x3, [x0]\n"
    "  mov x0, x2\n"
    "  blr x1\n"
    "  b 1f\n"
    PYMETAL_FUNCTION(pymetal_resume)
    "1:\n"
    PYMETAL_POP_CALLEE_SAVED
    "  ret\n");
#endif
// clang-format on

namespace pymetal::cpu {

constinit thread_local PYMETAL_INITIAL_EXEC Running* volatile running = nullptr;

namespace {

// The stack that handlers run on, since a kernel's own may be what is full.
class HandlerStack {
  public:
    HandlerStack() {
        stack_t now{};
        if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0)
            return; // the program gave this thread one
        void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            throw std::bad_alloc();
        stack_t own{};
        own.ss_sp = memory_ = memory;
        own.ss_size = kBytes;
        sigaltstack(&own, nullptr);
    }
    ~HandlerStack() {
        stack_t now{};
        if (memory_ == nullptr || sigaltstack(nullptr, &now) != 0 || now.ss_sp != memory_)
            return;
        stack_t none{};
        none.ss_flags = SS_DISABLE;
        none.ss_size = kBytes;
        sigaltstack(&none, nullptr);
        munmap(memory_, kBytes);
    }

  private:
    static constexpr size_t kBytes = 64 * 1024;
    void* memory_ = nullptr;
};

} // namespace

void own_handler_stack() {
    static thread_local HandlerStack stack;
    static_cast<void>(stack);
}

void end_threadgroup(Running& run, const Trap& trap, Registers registers) {
    *run.trap = trap;
    running = nullptr;
    registers.set(reinterpret_cast<uintptr_t>(&pymetal_resume),
                  reinterpret_cast<uintptr_t>(run.resume));
}

Uninterrupted::Uninterrupted() : running_(running) {
    running = nullptr;
}

Uninterrupted::~Uninterrupted() {
    running = static_cast<Running*>(running_);
}

bool run_guarded(void (*function)(void*), void* argument, const std::atomic<bool>& stop,
                 Trap* trap) {
    Running run;
    run.stop = &stop;
    run.trap = trap;
    *trap = {};
    struct Call {
        void (*function)(void*);
        void* argument;
        Running* run;
    } call{function, argument, &run};
    pymetal_guard(
        &run.resume,
        [](void* p) {
            const auto& c = *static_cast<Call*>(p);
            running = c.run;
            c.function(c.argument);
            running = nullptr;
        },
        &call);
    return trap->signal == 0;
}

} // namespace pymetal::cpu
