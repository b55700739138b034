#include "faults.h"

#include "guarded.h"

#include <csignal>
#include <unistd.h>

namespace pymetal::cpu {

namespace {

constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr int kSignals = 65;

Previous previous[kSignals];

// A signal that is not a kernel's goes to the handler before ours. If that one returns and the same
// fault comes back, it was none of its business, and the one before it has its turn.
void pass_on(int signal, siginfo_t* info, void* context) {
    struct Last {
        uintptr_t pc, address;
        int depth;
    };
    static thread_local PYMETAL_INITIAL_EXEC Last last{};
    const bool sent = info->si_code <= 0;
    const uintptr_t pc = sent ? 0 : Registers(context).pc();
    const auto address = sent ? uintptr_t{0} : reinterpret_cast<uintptr_t>(info->si_addr);
    // faulthandler prints and raises the signal anew: that too is the same fault.
    const bool again = last.depth > 0 && ((sent && last.pc != 0 && info->si_pid == getpid()) ||
                                          (pc == last.pc && address == last.address && !sent));
    const int depth = again ? last.depth : 0;
    last = {sent ? last.pc : pc, sent ? last.address : address, depth + 1};
    const int place = previous[signal].count - 1 - depth;
    struct sigaction action{};
    if (place >= 0)
        action = previous[signal].actions[place];
    else
        action.sa_handler = SIG_DFL;
    if ((action.sa_flags & SA_SIGINFO) != 0)
        return action.sa_sigaction(signal, info, context);
    if (action.sa_handler == SIG_IGN && sent)
        return;
    if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
        return action.sa_handler(signal);
    // By default the process ends: let the system do it, when the instruction is tried again.
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
    if (sent)
        raise(signal);
}

void handle_fault(int signal, siginfo_t* info, void* context) {
    Running* run = running;
    if (run == nullptr || info->si_code <= 0)
        return pass_on(signal, info, context);
    Registers registers(context);
    Trap trap{signal, 0, Trap::Access::unknown, false};
    if (signal == SIGSEGV || signal == SIGBUS) {
        trap.address = reinterpret_cast<uintptr_t>(info->si_addr);
#ifdef SI_KERNEL
        // x86 does not tell of addresses that no memory can have.
        const bool told = info->si_code != SI_KERNEL;
#else
        const bool told = true;
#endif
        trap.access = told ? registers.access() : Trap::Access::unknown;
        // Code touches every page of a frame in turn, so a full stack faults near its end.
        const uintptr_t below = registers.stack_pointer() - trap.address;
        const uintptr_t above = trap.address - registers.stack_pointer();
        trap.stack_overflow = below < 2 * 65536 || above < 4096;
    }
    end_threadgroup(*run, trap, registers);
}

} // namespace

Previous& previous_of(int signal) {
    return previous[signal];
}

bool is_ours(const struct sigaction& action, Handler handler) {
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handler;
}

void install(int signal, Handler handler, bool restarts) {
    struct sigaction now{};
    sigaction(signal, nullptr, &now);
    if (is_ours(now, handler))
        return;
    Previous& before = previous[signal];
    const int count = before.count;
    if (count == Previous::kMost) // for ever replaced: keep the first and the newest
        before.actions[count - 1] = now;
    else
        before.actions[before.count++] = now;
    struct sigaction own{};
    own.sa_sigaction = handler;
    own.sa_mask = now.sa_mask;
    own.sa_flags = SA_SIGINFO | SA_ONSTACK | (now.sa_flags & SA_RESTART);
    if (restarts)
        own.sa_flags |= SA_RESTART;
    sigaction(signal, &own, nullptr);
}

bool install_fault_handlers() {
    struct sigaction now{};
    sigaction(SIGSEGV, nullptr, &now);
    if (is_ours(now, handle_fault))
        return false;
    for (const int signal : kFaults)
        install(signal, handle_fault);
    return true;
}

} // namespace pymetal::cpu
