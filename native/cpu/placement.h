// On which processor a worker wakes.
#pragma once

#ifdef __linux__
#include <sched.h>
#include <sys/types.h>
#endif

namespace pymetal::cpu {

// Of one thread that sleeps. A scheduler may put whom it wakes on the processor of the thread that
// woke him, where he waits until that has done all the work alone; kernels of virtual machines do
// so of set purpose. So a launch takes its own processor from the sleeper's before it wakes him,
// and he takes it back when he runs. Does nothing where threads have no processors to choose from.
class Placement {
  public:
    Placement(); // of the calling thread

    // For the thread that is about to wake the sleeper.
    void keep_off_caller();

    // For the thread that slept.
    void take_back();

  private:
#ifdef __linux__
    pid_t thread_;
    cpu_set_t allowed_; // what the thread had, while it is kept off one
    bool kept_off_ = false;
#endif
};

} // namespace pymetal::cpu
