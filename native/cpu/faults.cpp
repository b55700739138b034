#include "faults.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#ifdef __APPLE__
#include <sys/ucontext.h>
#else
#include <ucontext.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#define PYMETAL_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#else
#define PYMETAL_INITIAL_EXEC
#endif

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

namespace {

// --- the processor's state in a signal handler -------------------------------------------------

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
    Trap::Access access() const { return Trap::Access::unknown; }
#endif

  private:
    ucontext_t* context_;
};

// --- the calling thread ------------------------------------------------------------------------

// What the calling thread runs under guard.
struct Running {
    void* resume = nullptr; // the stack pointer for pymetal_resume
    const std::atomic<bool>* stop = nullptr;
    Trap* trap = nullptr;
};
// Read in signal handlers, on threads too that never ran a kernel: must not be allocated there.
thread_local PYMETAL_INITIAL_EXEC Running* volatile running = nullptr;

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

// --- handlers -----------------------------------------------------------------------------------

constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr int kSignals = 65;

// Handlers that were there before ours, oldest first. Another library may put its own over ours,
// remembering ours as the one before; then ours goes over that at the next launch.
struct Previous {
    static constexpr int kMost = 8;
    std::atomic<int> count{0};
    struct sigaction actions[kMost];
};
Previous previous[kSignals];
std::mutex installing;

void handle_fault(int signal, siginfo_t* info, void* context);
void handle_interrupt(int signal, siginfo_t* info, void* context);
void handle_stop(int signal, siginfo_t* info, void* context);

using Handler = void (*)(int, siginfo_t*, void*);

bool is_ours(const struct sigaction& action, Handler handler) {
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handler;
}

void install(int signal, Handler handler) {
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
    if (handler == handle_stop)
        own.sa_flags |= SA_RESTART;
    sigaction(signal, &own, nullptr);
}

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
        trap.access = registers.access();
        // Code touches every page of a frame in turn, so a full stack faults near its end.
        const uintptr_t below = registers.stack_pointer() - trap.address;
        const uintptr_t above = trap.address - registers.stack_pointer();
        trap.stack_overflow = below < 2 * 65536 || above < 4096;
    }
    end_threadgroup(*run, trap, registers);
}

// --- ending launches ----------------------------------------------------------------------------

constexpr std::chrono::milliseconds kGrace{100}; // for Python to see Ctrl-C between threadgroups
constexpr std::chrono::milliseconds kInsist{5};  // a thread may be just about to start a kernel

std::atomic<int64_t> interrupted_at{0}; // when Ctrl-C came, on the steady clock; 0: answered
int wake_pipe[2] = {-1, -1};

int64_t now_nanoseconds() {
    return Watch::Clock::now().time_since_epoch().count();
}

bool is_main_thread() {
#ifdef __linux__
    static thread_local const bool is = getpid() == static_cast<pid_t>(syscall(SYS_gettid));
    return is;
#else
    return pthread_main_np() != 0;
#endif
}

void wake_watchdog() {
    const int error = errno;
    const char byte = 0;
    if (write(wake_pipe[1], &byte, 1) < 0) {
        // Full: it has been woken often enough.
    }
    errno = error;
}

// Ctrl-C: Python's own handler makes a note of it; so do we.
void handle_interrupt(int signal, siginfo_t* info, void* context) {
    int64_t expected = 0;
    interrupted_at.compare_exchange_strong(expected, now_nanoseconds());
    wake_watchdog();
    const Previous& before = previous[signal];
    const struct sigaction& action = before.actions[before.count - 1];
    if ((action.sa_flags & SA_SIGINFO) != 0)
        return action.sa_sigaction(signal, info, context);
    if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
        action.sa_handler(signal);
}

void handle_stop(int, siginfo_t*, void* context) {
    Running* run = running;
    if (run != nullptr && *run->stop)
        end_threadgroup(*run, {kStopSignal, 0, Trap::Access::unknown, false}, Registers(context));
}

// Only handlers that somebody set are wrapped: by default Ctrl-C ends the process.
void install_interrupt() {
    struct sigaction now{};
    sigaction(SIGINT, nullptr, &now);
    if ((now.sa_flags & SA_SIGINFO) == 0 &&
        (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN))
        return;
    if (is_ours(now, handle_interrupt))
        return;
    previous[SIGINT].count = 0; // it was replaced on purpose: ours is not called by it
    install(SIGINT, handle_interrupt);
}

void install_handlers() {
    struct sigaction now{};
    sigaction(SIGSEGV, nullptr, &now);
    if (!is_ours(now, handle_fault)) {
        const std::lock_guard lock(installing);
        for (const int signal : kFaults)
            install(signal, handle_fault);
        install(interrupt_signal(), handle_stop);
    }
    if (is_main_thread())
        install_interrupt();
}

} // namespace

int interrupt_signal() {
#ifdef __linux__
    // A real-time signal that nobody has a handler for.
    static const int chosen = [] {
        for (int signal = SIGRTMAX - 2; signal > SIGRTMIN; --signal) {
            struct sigaction now{};
            if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
                return signal;
        }
        return SIGRTMAX - 2;
    }();
    return chosen;
#else
    return SIGURG; // ignored by default
#endif
}

// A thread that sleeps until a launch must end. Never destroyed; a forked child has its own.
class Watchdog {
  public:
    static Watchdog& instance() {
        static Watchdog& dog = *new Watchdog;
        return dog;
    }

    void add(Watch& watch) {
        {
            const std::lock_guard lock(mutex_);
            if (!started_)
                start();
            watches_.push_back(&watch);
            watch.threads_.push_back(pthread_self());
        }
        if (watch.deadline_)
            wake_watchdog();
    }

    void remove(Watch& watch) {
        const std::lock_guard lock(mutex_);
        watches_.erase(std::find(watches_.begin(), watches_.end(), &watch));
    }

    void enter(Watch& watch) {
        const std::lock_guard lock(mutex_);
        watch.threads_.push_back(pthread_self());
    }

    void leave(Watch& watch) {
        const std::lock_guard lock(mutex_);
        auto& threads = watch.threads_;
        threads.erase(std::find_if(threads.begin(), threads.end(), [](pthread_t thread) {
            return pthread_equal(thread, pthread_self()) != 0;
        }));
    }

  private:
    void start() {
        static const int registered = pthread_atfork(nullptr, nullptr, [] { instance().forget(); });
        static_cast<void>(registered);
        if (pipe(wake_pipe) != 0)
            throw std::bad_alloc();
        for (const int end : wake_pipe) {
            fcntl(end, F_SETFD, FD_CLOEXEC);
            fcntl(end, F_SETFL, O_NONBLOCK);
        }
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        std::thread([this] { serve(); }).detach();
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        started_ = true;
    }

    void forget() {
        for (int& end : wake_pipe) {
            close(end);
            end = -1;
        }
        new (&mutex_) std::mutex;
        new (&installing) std::mutex;
        watches_.clear();
        started_ = false;
    }

    void serve() {
        int wait = -1;
        for (;;) {
            pollfd woken{wake_pipe[0], POLLIN, 0};
            poll(&woken, 1, wait);
            char bytes[64];
            while (read(wake_pipe[0], bytes, sizeof bytes) > 0) {
            }
            wait = look();
        }
    }

    // Ends what must end; milliseconds until it is to be called again, -1 for never.
    int look() {
        const std::lock_guard lock(mutex_);
        const auto now = Watch::Clock::now();
        auto next = Watch::Clock::time_point::max();
        const int64_t came = interrupted_at;
        bool main_launches = false;
        for (Watch* watch : watches_) {
            if (watch->deadline_ && !watch->stop_) {
                if (*watch->deadline_ <= now)
                    end(*watch, Watch::Reason::timeout);
                else
                    next = std::min(next, *watch->deadline_);
            }
            if (watch->on_main_thread_ && came != 0 && !watch->stop_) {
                main_launches = true;
                const auto due = Watch::Clock::time_point(Watch::Clock::duration(came)) + kGrace;
                if (due <= now)
                    end(*watch, Watch::Reason::interrupt);
                else
                    next = std::min(next, due);
            }
            if (watch->stop_) {
                for (const pthread_t thread : watch->threads_)
                    pthread_kill(thread, interrupt_signal());
                next = std::min(next, now + kInsist);
            }
        }
        if (!main_launches)
            interrupted_at = 0;
        if (next == Watch::Clock::time_point::max())
            return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
        return static_cast<int>(std::clamp<int64_t>(left, 1, 60'000));
    }

    static void end(Watch& watch, Watch::Reason reason) {
        watch.reason_ = reason;
        watch.stop_ = true;
    }

    std::mutex mutex_;
    std::vector<Watch*> watches_;
    bool started_ = false;
};

Watch::Watch(std::optional<double> timeout_seconds) : on_main_thread_(is_main_thread()) {
    own_handler_stack();
    install_handlers();
    if (timeout_seconds && *timeout_seconds < 1e9)
        deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                       std::chrono::duration<double>(*timeout_seconds));
    Watchdog::instance().add(*this);
}

Watch::~Watch() {
    Watchdog::instance().remove(*this);
    if (on_main_thread_)
        answered(); // the interpreter will, before it launches anything else
}

void Watch::enter() {
    own_handler_stack();
    Watchdog::instance().enter(*this);
}

void Watch::leave() {
    Watchdog::instance().leave(*this);
}

void Watch::answered() {
    interrupted_at = 0;
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
