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

// Programs linked against an SDK older than macOS 26's are told that it is 16, which never was
// (python/cpython#135675); many Pythons are such programs.
std::array<long, 3> os_version() {
    auto told = NS::ProcessInfo::processInfo()->operatingSystemVersion();
    auto major = told.majorVersion >= 16 && told.majorVersion < 26 ? told.majorVersion + 10
                                                                   : told.majorVersion;
    return {major, told.minorVersion, told.patchVersion};
}

bool os_at_least(long major) {
    return os_version()[0] >= major;
}

} // namespace pymetal::metal
