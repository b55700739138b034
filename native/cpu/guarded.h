// The processor's state when a signal came, and what a thread runs under guard: what the handlers
// in faults.cpp and watchdog.cpp share.
#pragma once

#include "faults.h"
#include "initial_exec.h"

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __APPLE__
#include <sys/ucontext.h>
#else
#include <ucontext.h>
#endif

namespace pymetal::cpu {

struct Registers {
    explicit Registers(void* context) : context_(static_cast<ucontext_t*>(context)) {}

#if defined(__APPLE__) && defined(__x86_64__)
    uintptr_t stack_pointer() const { return context_->uc_mcontext->__ss.__rsp; }
    uintptr_t pc() const { return context_->uc_mcontext->__ss.__rip; }
    void set(uintptr_t pc, uintptr_t stack) {
        context_->uc_mcontext->__ss.__rip = pc;
        context_->uc_mcontext->__ss.__rsp = stack;
    }
    Trap::Access access() const {
        return (context_->uc_mcontext->__es.__err & 2) != 0 ? Trap::Access::write
                                                            : Trap::Access::read;
    }
#elif defined(__APPLE__)
    uintptr_t stack_pointer() const { return context_->uc_mcontext->__ss.__sp; }
    uintptr_t pc() const { return context_->uc_mcontext->__ss.__pc; }
    void set(uintptr_t pc, uintptr_t stack) {
        context_->uc_mcontext->__ss.__pc = pc;
        context_->uc_mcontext->__ss.__sp = stack;
    }
    Trap::Access access() const { // ESR's WnR bit
        return (context_->uc_mcontext->__es.__esr & 0x40) != 0 ? Trap::Access::write
                                                               : Trap::Access::read;
    }
#elif defined(__x86_64__)
    uintptr_t stack_pointer() const { return at(REG_RSP); }
    uintptr_t pc() const { return at(REG_RIP); }
    void set(uintptr_t pc, uintptr_t stack) {
        context_->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(pc);
        context_->uc_mcontext.gregs[REG_RSP] = static_cast<greg_t>(stack);
    }
    Trap::Access access() const { // bit 1 of the page fault's error code
        return (at(REG_ERR) & 2) != 0 ? Trap::Access::write : Trap::Access::read;
    }
    uintptr_t at(int reg) const { return static_cast<uintptr_t>(context_->uc_mcontext.gregs[reg]); }
#else
    uintptr_t stack_pointer() const { return context_->uc_mcontext.sp; }
    uintptr_t pc() const { return context_->uc_mcontext.pc; }
    void set(uintptr_t pc, uintptr_t stack) {
        context_->uc_mcontext.pc = pc;
        context_->uc_mcontext.sp = stack;
    }
    // ESR's WnR bit, from the record of the register that Linux puts behind the others.
    Trap::Access access() const {
        const auto* record =
            reinterpret_cast<const unsigned char*>(&context_->uc_mcontext.__reserved);
        const unsigned char* end = record + sizeof context_->uc_mcontext.__reserved;
        while (end - record >= static_cast<ptrdiff_t>(sizeof(esr_context))) {
            esr_context found;
            std::memcpy(&found, record, sizeof found);
            if (found.head.magic == ESR_MAGIC)
                return (found.esr & 0x40) != 0 ? Trap::Access::write : Trap::Access::read;
            if (found.head.size == 0) // the last one
                break;
            record += found.head.size;
        }
        return Trap::Access::unknown;
    }
#endif

  private:
    ucontext_t* context_;
};

// What the calling thread runs under guard.
struct Running {
    void* resume = nullptr; // the stack pointer to go on with
    const std::atomic<bool>* stop = nullptr;
    Trap* trap = nullptr;
};
// Read in signal handlers, on threads too that never ran a kernel: must not be allocated there.
extern constinit thread_local PYMETAL_INITIAL_EXEC Running* volatile running;

// In a handler: the thread goes on where run_guarded() was called, which returns false.
void end_threadgroup(Running& run, const Trap& trap, Registers registers);

// Give the calling thread a stack for handlers, since a kernel's own may be what is full.
void own_handler_stack();

using Handler = void (*)(int, siginfo_t*, void*);

// Handlers that were there before ours, oldest first. Another library may put its own over ours,
// remembering ours as the one before; then ours goes over that at the next launch.
struct Previous {
    static constexpr int kMost = 8;
    std::atomic<int> count{0};
    struct sigaction actions[kMost];
};
Previous& previous_of(int signal);

bool is_ours(const struct sigaction& action, Handler handler);
// `restarts`: system calls that it interrupts start anew, whatever the handler before it did.
void install(int signal, Handler handler, bool restarts = false);
// True if they were not there.
bool install_fault_handlers();

} // namespace pymetal::cpu
