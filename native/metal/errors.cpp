// Metal's errors as our Failure, and the OS version that decides what Metal offers.
#include "metal/objects.h"

namespace pymetal::metal {

Failure failure(std::string stage, const NS::Error* error, const std::string& fallback) {
    if (!error)
        return Failure(std::move(stage), fallback);
    auto text = std_string(error->localizedDescription());
    return Failure(std::move(stage), text.empty() ? fallback : text, std_string(error->domain()),
                   error->code());
}

bool os_at_least(long major) {
    return NS::ProcessInfo::processInfo()->isOperatingSystemAtLeastVersion({major, 0, 0});
}

} // namespace pymetal::metal
