// Logging: <metal_logging>. Metal Shading Language Specification, section 6.19.
// Messages reach Python's logging after the launch: pymetal/logs.py.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

namespace metal {

enum log_type {
    log_type_debug,
    log_type_info,
    log_type_default,
    log_type_error,
    log_type_fault,
};

} // namespace metal

namespace pymetal {

namespace air {
void os_log(const char* subsystem, const char* category, int type, const char* format,
            const ulong* words, ulong count) __asm("air.os_log");
}

// What one argument takes: a head (kind, lanes << 8), then a word a lane.
enum log_kind { log_signed, log_unsigned, log_float };
template <class A>
inline constexpr int log_words = 1 + vector_traits<A>::lanes;
template <class T, int N>
inline constexpr int log_words<T[N]> = 2;
template <class T>
METAL_FUNC ulong log_word(T value) {
    if constexpr (same<T, float> || same<T, half> || same<T, bfloat>)
        return __builtin_bit_cast(uint, float(value));
    else if constexpr (__is_pointer(T))
        return reinterpret_cast<ulong>(value);
    else
        return ulong(long(value));
}
template <class T>
inline constexpr ulong log_kind_of = same<T, float> || same<T, half> || same<T, bfloat> ? log_float
                                     : __is_signed(T) ? log_signed
                                                      : log_unsigned;
template <class A>
METAL_FUNC void log_put(ulong* words, int& count, const A& argument) {
    typedef typename vector_traits<A>::element element;
    constexpr int lanes = vector_traits<A>::lanes;
    words[count++] = log_kind_of<element> | ulong(lanes) << 8;
    if constexpr (lanes == 1) {
        words[count++] = log_word<element>(argument);
    } else {
        for (int i = 0; i < lanes; ++i)
            words[count++] = log_word<element>(argument[i]);
    }
}

template <class... A>
METAL_FUNC void log(const char* subsystem, const char* category, int type, const char* format,
                    const A&... arguments) {
#ifdef PYMETAL_LOGGING // as with Apple's compiler, calls are dropped unless asked for
    ulong words[1 + (0 + ... + log_words<A>)];
    int count = 0;
    (log_put(words, count, arguments), ...);
    air::os_log(subsystem, category, type, format, words, count);
#endif
}

} // namespace pymetal

namespace metal {

struct os_log {
    constexpr os_log(const char* subsystem, const char* category)
        : subsystem_(subsystem), category_(category) {}

#define PYMETAL_LOG(name, type)                                                                    \
    template <class... A>                                                                          \
    METAL_FUNC void name(const char* format, A... arguments) const {                               \
        pymetal::log(subsystem_, category_, type, format, arguments...);                           \
    }
    PYMETAL_LOG(log, log_type_default)
    PYMETAL_LOG(log_debug, log_type_debug)
    PYMETAL_LOG(log_info, log_type_info)
    PYMETAL_LOG(log_error, log_type_error)
    PYMETAL_LOG(log_fault, log_type_fault)
#undef PYMETAL_LOG
    template <class... A>
    METAL_FUNC void log_with_type(log_type type, const char* format, A... arguments) const {
        pymetal::log(subsystem_, category_, type, format, arguments...);
    }

  private:
    const char* subsystem_;
    const char* category_;
};
static constexpr os_log os_log_default("", "");

} // namespace metal
