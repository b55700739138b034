// The Python face of the native module: the only file that includes nanobind.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

NB_MODULE(_native, module) {
    module.doc() = "Native part of PyMetal: the software device's runtime and the Metal device.";
}
