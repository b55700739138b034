#include "guarded.h"

#include <new>
#include <sys/mman.h>

#ifdef __APPLE__
#define SYMBOL(name) "_" #name
#define HIDDEN(name) ".private_extern _" #name "\n"
#else
#define SYMBOL(name) #name
#define HIDDEN(name) ".hidden " #name "\n"
#endif

// pymetal_guard(void** resume, void (*function)(void*), void* argument): pushes the callee-saved
// registers, stores the stack pointer to *resume, calls function(argument), pops and returns.
// pymetal_resume: where it pops. A signal handler that continues there, with the stack pointer that
// was stored, makes pymetal_guard return.
extern "C" void pymetal_guard(void** resume, void (*function)(void*), void* argument);
extern "C" void pymetal_resume();

#define BEGIN(name)                                                                                \
    ".text\n.globl " SYMBOL(name) "\n" HIDDEN(name) ".p2align 4\n" SYMBOL(name) ":\n"
#if defined(__x86_64__)
asm(BEGIN(pymetal_guard) "  pushq %rbp\n"
                         "  pushq %rbx\n"
                         "  pushq %r12\n"
                         "  pushq %r13\n"
                         "  pushq %r14\n"
                         "  pushq %r15\n"
                         "  movq %rsp, (%rdi)\n"
                         "  subq $8, %rsp\n"
                         "  movq %rdx, %rdi\n"
                         "  callq *%rsi\n"
                         "  addq $8, %rsp\n"
                         "  jmp 1f\n" BEGIN(pymetal_resume) "1:\n"
                                                            "  popq %r15\n"
                                                            "  popq %r14\n"
                                                            "  popq %r13\n"
                                                            "  popq %r12\n"
                                                            "  popq %rbx\n"
                                                            "  popq %rbp\n"
                                                            "  ret\n");
#elif defined(__aarch64__)
asm(BEGIN(pymetal_guard) "  stp x19, x20, [sp, #-160]!\n"
                         "  stp x21, x22, [sp, #16]\n"
                         "  stp x23, x24, [sp, #32]\n"
                         "  stp x25, x26, [sp, #48]\n"
                         "  stp x27, x28, [sp, #64]\n"
                         "  stp x29, x30, [sp, #80]\n"
                         "  stp d8, d9, [sp, #96]\n"
                         "  stp d10, d11, [sp, #112]\n"
                         "  stp d12, d13, [sp, #128]\n"
                         "  stp d14, d15, [sp, #144]\n"
                         "  mov x3, sp\n"
                         "  str x3, [x0]\n"
                         "  mov x0, x2\n"
                         "  blr x1\n"
                         "  b 1f\n" BEGIN(pymetal_resume) "1:\n"
                                                          "  ldp x21, x22, [sp, #16]\n"
                                                          "  ldp x23, x24, [sp, #32]\n"
                                                          "  ldp x25, x26, [sp, #48]\n"
                                                          "  ldp x27, x28, [sp, #64]\n"
                                                          "  ldp x29, x30, [sp, #80]\n"
                                                          "  ldp d8, d9, [sp, #96]\n"
                                                          "  ldp d10, d11, [sp, #112]\n"
                                                          "  ldp d12, d13, [sp, #128]\n"
                                                          "  ldp d14, d15, [sp, #144]\n"
                                                          "  ldp x19, x20, [sp], #160\n"
                                                          "  ret\n");
#endif

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
