// Atomics: <metal_atomic>. Metal Shading Language Specification, sections 2.6 and 6.15.
//
// They become LLVM's atomicrmw, cmpxchg, atomic load and store. Metal knows one order for them,
// relaxed; a fence is LLVM's fence.
#pragma once
#pragma clang system_header
#include "pymetal_compute.h"
#include "pymetal_type_traits.h"

namespace metal {

enum memory_order {
    memory_order_relaxed = 0,
    memory_order_acquire = 2,
    memory_order_release = 3,
    memory_order_acq_rel = 4,
    memory_order_seq_cst = 5,
};

template <class T>
struct atomic {
    static_assert(is_same_v<T, int> || is_same_v<T, uint> || is_same_v<T, bool> ||
                      is_same_v<T, float> || is_same_v<T, ulong>,
                  "an atomic is of int, uint, bool, float or ulong");
    typedef T value_type;
    T __s; // Apple's name, which public kernels reach for
};
template <class T>
using _atomic = atomic<T>;
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;

} // namespace metal
using metal::atomic_bool;
using metal::atomic_float;
using metal::atomic_int;
using metal::atomic_uint;
using metal::atomic_ulong;

namespace pymetal {
// volatile says nothing more about an atomic access.
template <class T>
METAL_FUNC T* value_of(const volatile metal::atomic<T>* object) {
    return const_cast<T*>(&object->__s);
}
template <class T>
using same_type = typename metal::type_identity<T>::type; // not deduced
template <class T>
inline constexpr bool counts = same<T, int> || same<T, uint>;
} // namespace pymetal

// Only fences take another order: section 6.15.1 of the specification.
#define PYMETAL_RELAXED(order)                                                                     \
    __attribute__((diagnose_if(order != memory_order_relaxed,                                      \
                               "atomic functions other than fences take memory_order_relaxed",     \
                               "error")))

namespace metal {

template <class T>
METAL_FUNC void atomic_store_explicit(volatile atomic<T>* object, pymetal::same_type<T> desired,
                                      memory_order order) PYMETAL_RELAXED(order) {
    __atomic_store(pymetal::value_of(object), &desired, __ATOMIC_RELAXED);
}
template <class T>
METAL_FUNC T atomic_load_explicit(const volatile atomic<T>* object, memory_order order)
    PYMETAL_RELAXED(order) {
    T value;
    __atomic_load(pymetal::value_of(object), &value, __ATOMIC_RELAXED);
    return value;
}
template <class T>
METAL_FUNC T atomic_exchange_explicit(volatile atomic<T>* object, pymetal::same_type<T> desired,
                                      memory_order order) PYMETAL_RELAXED(order) {
    T value;
    __atomic_exchange(pymetal::value_of(object), &desired, &value, __ATOMIC_RELAXED);
    return value;
}
// Compares bits, as memcmp does; where they differ, *expected becomes what was there.
template <class T>
METAL_FUNC bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* object,
                                                      thread pymetal::same_type<T>* expected,
                                                      pymetal::same_type<T> desired,
                                                      memory_order success, memory_order failure)
    PYMETAL_RELAXED(success) PYMETAL_RELAXED(failure) {
    return __atomic_compare_exchange(pymetal::value_of(object), expected, &desired, true,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

#define PYMETAL_FETCH(name, supported)                                                             \
    template <class T, enable_if_t<(supported), int> = 0>                                          \
    METAL_FUNC T atomic_fetch_##name##_explicit(volatile atomic<T>* object,                        \
                                                pymetal::same_type<T> operand, memory_order order) \
        PYMETAL_RELAXED(order) {                                                                   \
        return __atomic_fetch_##name(pymetal::value_of(object), operand, __ATOMIC_RELAXED);        \
    }
PYMETAL_FETCH(add, pymetal::counts<T> || (is_same_v<T, float>))
PYMETAL_FETCH(sub, pymetal::counts<T> || (is_same_v<T, float>))
PYMETAL_FETCH(and, pymetal::counts<T>)
PYMETAL_FETCH(or, pymetal::counts<T>)
PYMETAL_FETCH(xor, pymetal::counts<T>)
PYMETAL_FETCH(min, pymetal::counts<T>)
PYMETAL_FETCH(max, pymetal::counts<T>)
#undef PYMETAL_FETCH

// 64 bits: no value comes back.
METAL_FUNC void atomic_min_explicit(volatile atomic_ulong* object, ulong operand,
                                    memory_order order) PYMETAL_RELAXED(order) {
    __atomic_fetch_min(pymetal::value_of(object), operand, __ATOMIC_RELAXED);
}
METAL_FUNC void atomic_max_explicit(volatile atomic_ulong* object, ulong operand,
                                    memory_order order) PYMETAL_RELAXED(order) {
    __atomic_fetch_max(pymetal::value_of(object), operand, __ATOMIC_RELAXED);
}

#undef PYMETAL_RELAXED

METAL_FUNC void atomic_thread_fence(mem_flags, memory_order order,
                                    thread_scope = thread_scope_device) {
    if (order != memory_order_relaxed)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

} // namespace metal
