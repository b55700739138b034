// GPU capture into a .gputrace document, which Xcode opens.
#include "metal/device.h"

namespace pymetal::metal {

void MetalDevice::start_capture(const std::string& path) {
    AutoreleasePool pool;
    auto* manager = MTL::CaptureManager::sharedCaptureManager();
    if (!manager->supportsDestination(MTL::CaptureDestinationGPUTraceDocument))
        throw Failure("capture", "GPU capture is off: set MTL_CAPTURE_ENABLED=1 in the "
                                 "environment before Python starts");
    if (manager->isCapturing())
        throw Failure("capture", "a GPU capture is running already");
    auto descriptor = owned(MTL::CaptureDescriptor::alloc()->init());
    descriptor->setCaptureObject(metal());
    descriptor->setDestination(MTL::CaptureDestinationGPUTraceDocument);
    descriptor->setOutputURL(NS::URL::fileURLWithPath(ns_string(path)));
    NS::Error* error = nullptr;
    if (!manager->startCapture(descriptor.get(), &error))
        throw failure("capture", error, "Metal did not start the capture");
}

void MetalDevice::stop_capture() {
    AutoreleasePool pool;
    MTL::CaptureManager::sharedCaptureManager()->stopCapture();
}

} // namespace pymetal::metal
