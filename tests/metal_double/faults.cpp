#include "faults.hpp"

#include <atomic>
#include <map>
#include <mutex>

#include "control.h"

namespace metal_double {

namespace {

struct Armed {
    Fault fault;
    int times; // negative: always
};

std::mutex mutex;
std::atomic<int> armed_count{0};

std::map<std::string, Armed>& armed() {
    static auto* instance = new std::map<std::string, Armed>;
    return *instance;
}

} // namespace

std::optional<Fault> take_fault(const char* name) {
    if (armed_count.load(std::memory_order_relaxed) == 0)
        return {};
    std::lock_guard lock(mutex);
    auto found = armed().find(name);
    if (found == armed().end())
        return {};
    auto fault = found->second.fault;
    if (found->second.times > 0 && --found->second.times == 0)
        armed().erase(found);
    armed_count = static_cast<int>(armed().size());
    return fault;
}

extern "C" void metal_double_fault(const char* name, long code, const char* text, int times) {
    std::lock_guard lock(mutex);
    if (!*name)
        armed().clear();
    else
        armed()[name] = {{code, text}, times};
    armed_count = static_cast<int>(armed().size());
}

} // namespace metal_double
