#include "placement.h"

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pymetal::cpu {

#ifdef __linux__

Placement::Placement() : thread_(static_cast<pid_t>(syscall(SYS_gettid))) {}

void Placement::keep_off_caller() {
    const int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE)
        return;
    // Asked for each time: a program may move its threads, and ours, at any time.
    if (!kept_off_ && sched_getaffinity(thread_, sizeof allowed_, &allowed_) != 0)
        return;
    cpu_set_t others = allowed_;
    CPU_CLR(here, &others);
    if (CPU_COUNT(&others) != 0 && sched_setaffinity(thread_, sizeof others, &others) == 0)
        kept_off_ = true;
}

void Placement::take_back() {
    if (kept_off_)
        sched_setaffinity(thread_, sizeof allowed_, &allowed_);
    kept_off_ = false;
}

#else

Placement::Placement() = default;
void Placement::keep_off_caller() {}
void Placement::take_back() {}

#endif

} // namespace pymetal::cpu
