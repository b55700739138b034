// Finding and describing the GPU.
#include "metal/device.h"

namespace pymetal::metal {

namespace {

struct NamedFamily {
    MTL::GPUFamily family;
    const char* name;
};
constexpr NamedFamily named_families[] = {
    {MTL::GPUFamilyApple7, "Apple7"}, {MTL::GPUFamilyApple8, "Apple8"},
    {MTL::GPUFamilyApple9, "Apple9"}, {MTL::GPUFamilyApple10, "Apple10"},
    {MTL::GPUFamilyMac2, "Mac2"},     {MTL::GPUFamilyCommon3, "Common3"},
    {MTL::GPUFamilyMetal3, "Metal3"}, {MTL::GPUFamilyMetal4, "Metal4"},
};

// Sessions without a screen (ssh, launchd) may have no default device, yet list the GPU.
Owned<MTL::Device> find_device() {
    if (auto* device = MTL::CreateSystemDefaultDevice())
        return owned(device);
    auto all = owned(MTL::CopyAllDevices());
    if (!all || all->count() == 0)
        return {};
    return owned(all->object<MTL::Device>(0)->retain());
}

DeviceInfo describe(MTL::Device* device) {
    DeviceInfo info;
    info.name = std_string(device->name());
    info.is_paravirtual = info.name.find("Paravirtual") != std::string::npos;
    info.registry_id = device->registryID();
    info.has_unified_memory = device->hasUnifiedMemory();
    // Metal Feature Set Tables: non-uniform threadgroup size from Apple4 and Mac2 on.
    info.has_nonuniform_threadgroups =
        device->supportsFamily(MTL::GPUFamilyApple4) || device->supportsFamily(MTL::GPUFamilyMac2);
    info.max_buffer_bytes = device->maxBufferLength();
    info.max_threadgroup_memory_bytes = device->maxThreadgroupMemoryLength();
    info.recommended_working_set_bytes = device->recommendedMaxWorkingSetSize();
    auto size = device->maxThreadsPerThreadgroup();
    info.max_threadgroup_size = {size.width, size.height, size.depth};
    for (auto& [family, name] : named_families)
        if (device->supportsFamily(family))
            info.families.push_back(name);
    info.os_version = os_version();
    return info;
}

} // namespace

bool is_present() {
    AutoreleasePool pool;
    return static_cast<bool>(find_device());
}

std::shared_ptr<Device> open_device() {
    AutoreleasePool pool;
    auto device = find_device();
    if (!device)
        throw Failure("device", "Metal lists no GPU on this machine");
    return std::make_shared<MetalDevice>(std::move(device));
}

MetalDevice::MetalDevice(Owned<MTL::Device> device)
    : device_(std::move(device)), queue_(owned(device_->newCommandQueue())),
      info_(describe(device_.get())), buffers_(device_.get(), info_.is_paravirtual) {
    if (!queue_)
        throw Failure("device", "Metal made no command queue on " + info_.name);
}

} // namespace pymetal::metal
