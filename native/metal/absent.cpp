// The Metal device where there is no Metal.
#include "metal/metal.h"

namespace pymetal::metal {

bool is_present() {
    return false;
}

std::shared_ptr<Device> open_device() {
    throw Failure("device", "this build of PyMetal has no Metal device: it is made for macOS");
}

} // namespace pymetal::metal
