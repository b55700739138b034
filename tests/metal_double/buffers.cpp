// MTLBuffer. New memory holds 0xA5, so that a kernel which reads what nobody wrote shows.
#include <cstdlib>
#include <cstring>

#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

namespace {

void check_length(UInteger length, const char* selector) {
    if (!length)
        misuse("[MTLDevice %s]: length must not be zero", selector);
}

Buffer* new_buffer(Device* device, void* memory, UInteger length, bool is_owned) {
    auto* buffer = make<Buffer>();
    buffer->device = Ref<Device>(device);
    buffer->memory = static_cast<char*>(memory);
    buffer->length = length;
    buffer->is_owned = is_owned;
    device->allocated += length;
    return buffer;
}

void check_options(UInteger options) {
    constexpr UInteger storage_shared = 0;
    if (options >> 4 != storage_shared)
        misuse("only shared buffers are known");
}

} // namespace

Buffer::~Buffer() {
    if (!memory)
        return;
    if (deallocator)
        call_block(deallocator->get(), static_cast<void*>(memory), length);
    else if (is_owned)
        std::free(memory);
    device->allocated -= length;
}

void define_buffers() {
    Class<Buffer>("MTLBuffer")
        .on("contents", [](Buffer* buffer) -> void* { return buffer->memory; })
        .on("length", [](Buffer* buffer) { return buffer->length; })
        .on("gpuAddress",
            [](Buffer* buffer) { return reinterpret_cast<uint64_t>(buffer->memory); });
    Class<Device>::extend()
        .on("newBufferWithLength:options:",
            [](Device* device, UInteger length, UInteger options) -> Object* {
                check_length(length, "newBufferWithLength:options:");
                check_options(options);
                if (take_fault("no buffer"))
                    return nullptr;
                auto rounded = (length + page_size - 1) / page_size * page_size;
                auto* memory = std::aligned_alloc(page_size, rounded);
                if (!memory)
                    return nullptr;
                std::memset(memory, 0xA5, length);
                return new_buffer(device, memory, length, true);
            })
        .on("newBufferWithBytesNoCopy:length:options:deallocator:",
            [](Device* device, void* memory, UInteger length, UInteger options,
               const void* deallocator) -> Object* {
                check_length(length, "newBufferWithBytesNoCopy:");
                check_options(options);
                if ((reinterpret_cast<uintptr_t>(memory) | length) % page_size)
                    misuse("newBufferWithBytesNoCopy: address and length must be multiples of %lu",
                           page_size);
                if (take_fault("no buffer") || take_fault("no pages"))
                    return nullptr;
                // As seen on a paravirtual GPU (actions/runner-images#10663).
                auto usable = take_fault("paravirtual") ? 0 : length;
                auto* buffer = new_buffer(device, memory, usable, false);
                if (deallocator)
                    buffer->deallocator.emplace(deallocator);
                return buffer;
            });
}

} // namespace metal_double
