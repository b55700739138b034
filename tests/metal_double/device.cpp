// MTLDevice, and the C functions that find devices.
#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

namespace {

std::mutex device_mutex;
Device* current_device = nullptr;

UInteger max_buffer_length() {
    auto fault = take_fault("max buffer length");
    return fault ? static_cast<UInteger>(fault->code) : UInteger{1} << 34;
}

bool supports(long family) {
    constexpr long apple1 = 1001, apple3 = 1003, apple9 = 1009, mac2 = 2002, common1 = 3001,
                   common3 = 3003, metal3 = 5001, metal4 = 5002;
    bool uniform_only = take_fault("uniform only").has_value();
    if (family >= apple1 && family <= (uniform_only ? apple3 : apple9))
        return true;
    if (family == metal4)
        return os_major() >= 26;
    return (family >= common1 && family <= common3) || family == metal3 ||
           (family == mac2 && !uniform_only);
}

} // namespace

// A device lives while someone holds it, so that leaks of it show too.
Ref<Device> system_device() {
    std::lock_guard lock(device_mutex);
    if (!current_device)
        return Ref<Device>::adopt(current_device = make<Device>());
    return Ref<Device>(current_device);
}

Device::~Device() {
    std::lock_guard lock(device_mutex);
    current_device = nullptr;
    if (allocated)
        misuse("device released with %lu bytes still allocated", allocated.load());
}

void define_device() {
    Class<Device>("MTLDevice")
        .on("name",
            [](Device*) {
                auto name = take_fault("paravirtual") ? "Apple Paravirtual device" : "Metal double";
                return autoreleased(new_string(name));
            })
        .on("registryID", [](Device*) -> uint64_t { return 1; })
        .on("hasUnifiedMemory", [](Device*) { return true; })
        .on("isLowPower", [](Device*) { return false; })
        .on("maxBufferLength", [](Device*) { return max_buffer_length(); })
        .on("recommendedMaxWorkingSetSize", [](Device*) -> uint64_t { return 1UL << 34; })
        .on("currentAllocatedSize", [](Device* device) { return device->allocated.load(); })
        .on("maxThreadgroupMemoryLength", [](Device*) { return max_threadgroup_memory; })
        .on("maxThreadsPerThreadgroup",
            [](Device*) {
                return Size{max_threads_per_threadgroup, max_threads_per_threadgroup,
                            max_threads_per_threadgroup};
            })
        .on("supportsFamily:", [](Device*, long family) { return supports(family); })
        .on("newLibraryWithSource:options:error:",
            [](Device*, Object* source, Object* options, Object** error) {
                auto* checked =
                    options ? expect<CompileOptions>(options, "newLibraryWithSource: options")
                            : nullptr;
                return new_library(text_of(source), false, checked, error);
            })
        .on("newLibraryWithData:error:",
            [](Device*, Object* data, Object** error) {
                return new_library(expect<String>(data, "newLibraryWithData: data")->text, true,
                                   nullptr, error);
            })
        .on("newComputePipelineStateWithFunction:options:reflection:error:",
            [](Device* device, Object* function, UInteger options, Object** reflection,
               Object** error) {
                return new_pipeline(device, function, options, reflection, error);
            });
    define_buffers();
    define_commands();
    define_encoder_factory();
    define_metal4();
}

void define_metal() {
    define_libraries();
    define_pipelines();
    define_encoder();
    define_capture();
    define_logs();
    define_device();
}

extern "C" Object* MTLCreateSystemDefaultDevice() {
    objc_lookUpClass("NSObject");
    if (take_fault("no device") || take_fault("no default device"))
        return nullptr;
    return retain(system_device().get());
}

extern "C" Object* MTLCopyAllDevices() {
    objc_lookUpClass("NSObject");
    std::vector<Object*> devices;
    if (!take_fault("no device"))
        devices.push_back(retain(system_device().get()));
    return new_array(devices);
}

extern "C" Object* MTLCopyAllDevicesWithObserver(Object**, void*) {
    return MTLCopyAllDevices();
}
extern "C" void MTLRemoveDeviceObserver(Object*) {}

} // namespace metal_double
