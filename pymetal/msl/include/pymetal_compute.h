// Synchronisation: <metal_compute>. Metal Shading Language Specification, section 6.9.1.
#pragma once
#pragma clang system_header
#include "pymetal_air.h"

namespace metal {

// The values are Apple's: they are arguments of air.wg.barrier.
enum class mem_flags {
    mem_none = 0,
    mem_device = 1,
    mem_threadgroup = 2,
    mem_device_and_threadgroup = 3, // of Metal 1
    mem_texture = 4,
    mem_threadgroup_imageblock = 8,
    mem_object_data = 16,
};
METAL_FUNC constexpr mem_flags operator|(mem_flags a, mem_flags b) {
    return (mem_flags)((int)a | (int)b);
}
METAL_FUNC constexpr mem_flags operator&(mem_flags a, mem_flags b) {
    return (mem_flags)((int)a & (int)b);
}

enum thread_scope {
    thread_scope_thread = 0,
    thread_scope_threadgroup = 1,
    thread_scope_device = 2,
    thread_scope_simdgroup = 4,
};

METAL_FUNC PYMETAL_CONVERGENT void threadgroup_barrier(mem_flags flags) {
    pymetal::air::wg_barrier((int)flags, 1);
}
METAL_FUNC PYMETAL_CONVERGENT void simdgroup_barrier(mem_flags flags) {
    pymetal::air::simdgroup_barrier((int)flags, 1);
}

} // namespace metal
