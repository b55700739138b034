// What the files that include nanobind share: each binds one part of the module.
#pragma once

#include <nanobind/nanobind.h>

void bind_checks(nanobind::module_& module); // bindings_checks.cpp
void bind_metal(nanobind::module_& module);  // bindings_metal.cpp
void bind_memory(nanobind::module_& module); // bindings_memory.cpp
void bind_calls(nanobind::module_& module);  // bindings_calls.cpp
