#include "streaming.h"

#include <atomic>
#include <fstream>
#include <string>

namespace pymetal::cpu {

namespace {

// What a thread may write at most of an output that all together fill. A launch of fewer threads
// writes a part of it only, which may well be read from the caches.
constexpr size_t kMostBytesOfThread = 1024;
// The last cache's size where the system does not tell.
constexpr size_t kUsualCache = size_t{32} << 20;
// Outputs from this part of the last cache on: what a kernel reads would lie there, too.
constexpr size_t kPartOfCache = 2;

std::atomic<size_t> streamed_from{0};

// Of what the first processor shares with others: in a virtual machine sysconf, like the processor
// itself, counts caches that it does not have.
size_t last_cache_bytes() {
    unsigned last_level = 0;
    size_t found = kUsualCache;
    for (int index = 0;; ++index) {
        const std::string folder =
            "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
        std::ifstream levels(folder + "/level"), sizes(folder + "/size"); // such as "3", "32768K"
        unsigned level = 0;
        size_t kilobytes = 0;
        if (!(levels >> level) || !(sizes >> kilobytes))
            return found;
        if (level > last_level && kilobytes != 0) {
            last_level = level;
            found = kilobytes << 10;
        }
    }
}

} // namespace

bool is_streamed(size_t size_bytes, uint64_t threads) {
    static const size_t usual = last_cache_bytes() / kPartOfCache;
    const size_t wanted = streamed_from.load(std::memory_order_relaxed);
    return size_bytes >= (wanted != 0 ? wanted : usual) &&
           size_bytes / kMostBytesOfThread <= threads;
}

void set_streamed_from(size_t size_bytes) {
    streamed_from = size_bytes;
}

void end_streaming() {
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

} // namespace pymetal::cpu
