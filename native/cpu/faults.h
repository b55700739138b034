// What becomes of a kernel that goes wrong or takes too long: the signals of this process.
//
// A signal that kernel code causes (a wild access, a trap, a full stack) ends its threadgroup: the
// handler lets the thread go on where run_guarded() was called. A signal that anything else causes
// goes to whoever had the handler before, so that faulthandler and the program's own handlers work
// as ever. A launch that must end, at its deadline or by Ctrl-C, gets a signal sent to the threads
// that run it, with the same effect; so kernels need not look whether they should stop.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <pthread.h>
#include <vector>

namespace pymetal::cpu {

// The signal that ended a threadgroup.
struct Trap {
    int signal = 0; // 0: none. kStopSignal is no number of the system's
    uintptr_t address = 0;
    enum class Access : uint8_t { unknown, read, write } access = Access::unknown;
    bool stack_overflow = false;
};
inline constexpr int kStopSignal = -1; // the launch was told to end

// Runs `function(argument)`, which may switch to fibers and must not throw; false if a signal ended
// it, with *trap filled in. Only the threads that a Watch knows can be ended by `stop`.
bool run_guarded(void (*function)(void*), void* argument, const std::atomic<bool>& stop,
                 Trap* trap);

// For as long as it lives, no signal ends what the calling thread runs: it may hold a lock.
class Uninterrupted {
  public:
    Uninterrupted();
    ~Uninterrupted();
    Uninterrupted(const Uninterrupted&) = delete;
    Uninterrupted& operator=(const Uninterrupted&) = delete;

  private:
    void* running_;
};

// The signal that ends a launch's threads; those that run kernels must not block it.
int interrupt_signal();

// A launch, as long as it runs: what may end it.
class Watch {
  public:
    enum class Reason : uint8_t { none, timeout, interrupt };
    using Clock = std::chrono::steady_clock;

    // To be made on the calling thread; installs the handlers. No timeout: it may take for ever.
    explicit Watch(std::optional<double> timeout_seconds);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // A thread beside the calling one begins and ceases to run threadgroups of the launch.
    void enter();
    void leave();

    // The calling thread has let Python handle its signals.
    void answered();

    const std::atomic<bool>& stop() const { return stop_; }
    Reason reason() const { return reason_; }

  private:
    friend class Watchdog;

    std::atomic<bool> stop_{false};
    std::atomic<Reason> reason_{Reason::none};
    std::optional<Clock::time_point> deadline_;
    bool on_main_thread_;
    std::vector<pthread_t> threads_;
};

} // namespace pymetal::cpu
