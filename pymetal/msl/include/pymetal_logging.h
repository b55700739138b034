// Logging: <metal_logging>. Metal Shading Language Specification, section 6.19.
// Calls compile; what they would print goes nowhere yet.
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

struct os_log {
    constexpr os_log(const char* subsystem, const char* category) {}
    template <class... A>
    METAL_FUNC void log_with_type(log_type, const char* format, A...) const {}
    template <class... A>
    METAL_FUNC void log(const char* format, A...) const {}
    template <class... A>
    METAL_FUNC void log_debug(const char* format, A...) const {}
    template <class... A>
    METAL_FUNC void log_info(const char* format, A...) const {}
    template <class... A>
    METAL_FUNC void log_error(const char* format, A...) const {}
    template <class... A>
    METAL_FUNC void log_fault(const char* format, A...) const {}
};
static constexpr os_log os_log_default("", "");

} // namespace metal
