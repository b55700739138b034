// What ends a launch from outside: its deadline, and Ctrl-C.
#include "guarded.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <poll.h>
#include <pthread.h>
#include <thread>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

namespace pymetal::cpu {

namespace {

std::mutex installing;
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
    const Previous& before = previous_of(signal);
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
    previous_of(SIGINT).count = 0; // it was replaced on purpose: ours is not called by it
    install(SIGINT, handle_interrupt);
}

void install_handlers() {
    {
        const std::lock_guard lock(installing);
        if (install_fault_handlers())
            install(interrupt_signal(), handle_stop, true);
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
        bool sooner = false; // than it would look by itself: most launches end long before
        {
            const std::lock_guard lock(mutex_);
            if (!started_)
                start();
            watches_.push_back(&watch);
            watch.threads_.push_back(pthread_self());
            sooner = watch.deadline_ && *watch.deadline_ < next_look_;
            if (sooner)
                next_look_ = *watch.deadline_;
        }
        if (sooner)
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
        next_look_ = Watch::Clock::time_point::max();
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
        next_look_ = next;
        if (next == Watch::Clock::time_point::max())
            return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
        const auto wait = std::clamp<int64_t>(left, 1, 60'000);
        next_look_ = now + std::chrono::milliseconds(wait);
        return static_cast<int>(wait);
    }

    static void end(Watch& watch, Watch::Reason reason) {
        watch.reason_ = reason;
        watch.stop_ = true;
    }

    std::mutex mutex_;
    std::vector<Watch*> watches_;
    Watch::Clock::time_point next_look_ = Watch::Clock::time_point::max();
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

} // namespace pymetal::cpu
