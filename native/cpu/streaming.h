// Outputs that are stored past the caches, because they are larger than these
// (pymetal/cpu/vectorise/streaming.py says why).
#pragma once

#include <cstddef>
#include <cstdint>

namespace pymetal::cpu {

// Whether a launch of that many threads should store a buffer past the caches.
bool is_streamed(size_t size_bytes, uint64_t threads);

// From how many bytes on buffers are; 0: as many as fit this processor's caches.
void set_streamed_from(size_t size_bytes);

// To be called by a thread after its part of a launch with such stores, which only then come
// before whatever it writes next, to others.
void end_streaming();

} // namespace pymetal::cpu
