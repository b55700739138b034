// MTLComputeCommandEncoder: every rule that Metal has for it, broken ones by name.
#include <cstring>

#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

namespace {

constexpr UInteger largest_set_bytes = 4096;

Encoder* open(Encoder* encoder, const char* selector) {
    if (encoder->is_ended)
        misuse("[MTLComputeCommandEncoder %s] after endEncoding", selector);
    if (encoder->thread != std::this_thread::get_id())
        misuse("[MTLComputeCommandEncoder %s] on another thread than made it", selector);
    return encoder;
}

Encoder* new_encoder(CommandBuffer* command_buffer) {
    if (command_buffer->status != not_enqueued)
        misuse("[MTLCommandBuffer computeCommandEncoder] after commit");
    if (command_buffer->encoder)
        misuse("[MTLCommandBuffer computeCommandEncoder] while another encoder is open");
    if (take_fault("no encoder"))
        return nullptr;
    auto* encoder = make<Encoder>();
    encoder->command_buffer = Ref<CommandBuffer>(command_buffer);
    command_buffer->encoder = encoder;
    return autoreleased(encoder);
}

Slot& slot_at(Encoder* encoder, UInteger index) {
    if (index >= buffer_count)
        misuse("buffer index %lu; the last is 30", index);
    auto& slot = encoder->current.slots[index];
    slot = Slot{};
    slot.is_set = true;
    return slot;
}

void check_geometry(const Dispatch& dispatch) {
    auto& group = dispatch.threadgroup;
    auto& info = dispatch.pipeline->engine.info;
    if (dispatch.grid.has_zero() || group.has_zero())
        misuse("dispatch with a size of zero");
    if (group.total() > info.max_threads)
        misuse("dispatch of %lu threads per threadgroup; the pipeline allows %lu", group.total(),
               info.max_threads);
    UInteger memory = info.static_memory;
    for (auto length : dispatch.threadgroup_memory)
        memory += length;
    if (memory > max_threadgroup_memory)
        misuse("dispatch with %lu bytes of threadgroup memory; the device has %lu", memory,
               max_threadgroup_memory);
}

void check_bindings(const Dispatch& dispatch) {
    for (auto& binding : dispatch.pipeline->engine.info.bindings) {
        auto& slot = dispatch.slots[binding.index];
        if (binding.kind == 0 && !slot.is_set)
            misuse("dispatch with a missing binding: buffer(%lu) '%s'", binding.index,
                   binding.name.c_str());
        if (binding.kind == 1 && !dispatch.threadgroup_memory[binding.index])
            misuse("dispatch with a missing binding: threadgroup(%lu) '%s'", binding.index,
                   binding.name.c_str());
        if (binding.kind != 0)
            continue;
        auto size = slot.buffer ? slot.buffer->length - slot.offset : slot.size;
        if (size < binding.size)
            misuse("dispatch with %lu bytes at buffer(%lu) '%s', whose type needs %lu", size,
                   binding.index, binding.name.c_str(), binding.size);
        if (!slot.buffer && binding.access != 0)
            misuse("dispatch with setBytes at buffer(%lu) '%s', which the kernel writes",
                   binding.index, binding.name.c_str());
    }
}

void dispatch(Encoder* encoder, Size grid, Size group) {
    if (!encoder->current.pipeline)
        misuse("dispatch without a pipeline");
    auto current = encoder->current;
    current.grid = grid;
    current.threadgroup = group;
    check_geometry(current);
    check_bindings(current);
    encoder->command_buffer->dispatches.push_back(std::move(current));
}

} // namespace

Encoder::~Encoder() {
    if (command_buffer && !is_ended)
        misuse("encoder released without endEncoding");
}

void define_encoder() {
    Class<Encoder>("MTLComputeCommandEncoder")
        .on("setComputePipelineState:",
            [](Encoder* encoder, Object* object) {
                open(encoder, "setComputePipelineState:");
                auto* pipeline = expect<Pipeline>(object, "setComputePipelineState:");
                encoder->command_buffer->keep(pipeline);
                encoder->current.pipeline = pipeline;
            })
        .on("setBuffer:offset:atIndex:",
            [](Encoder* encoder, Object* object, UInteger offset, UInteger index) {
                open(encoder, "setBuffer:offset:atIndex:");
                auto* buffer = expect<Buffer>(object, "setBuffer:");
                if (offset >= buffer->length)
                    misuse("setBuffer: offset %lu of length %lu", offset, buffer->length);
                encoder->command_buffer->keep(buffer);
                auto& slot = slot_at(encoder, index);
                slot.buffer = buffer;
                slot.offset = offset;
            })
        .on("setBytes:length:atIndex:",
            [](Encoder* encoder, const void* bytes, UInteger length, UInteger index) {
                open(encoder, "setBytes:length:atIndex:");
                if (!length || length > largest_set_bytes)
                    misuse("setBytes: length %lu; Metal takes 1 to 4096", length);
                auto& slot = slot_at(encoder, index);
                slot.size = length;
                slot.bytes.resize((length + sizeof(Aligned) - 1) / sizeof(Aligned));
                std::memcpy(slot.bytes.data(), bytes, length);
            })
        .on("setThreadgroupMemoryLength:atIndex:",
            [](Encoder* encoder, UInteger length, UInteger index) {
                open(encoder, "setThreadgroupMemoryLength:atIndex:");
                if (index >= buffer_count)
                    misuse("threadgroup index %lu", index);
                if (length % 16)
                    misuse("setThreadgroupMemoryLength: %lu is not a multiple of 16", length);
                encoder->current.threadgroup_memory[index] = length;
            })
        .on("dispatchThreads:threadsPerThreadgroup:",
            [](Encoder* encoder, Size grid, Size group) {
                open(encoder, "dispatchThreads:threadsPerThreadgroup:");
                if (take_fault("uniform only"))
                    misuse("dispatchThreads: on a GPU without non-uniform threadgroups");
                dispatch(encoder, grid, group);
            })
        .on("dispatchThreadgroups:threadsPerThreadgroup:",
            [](Encoder* encoder, Size groups, Size group) {
                open(encoder, "dispatchThreadgroups:threadsPerThreadgroup:");
                dispatch(encoder,
                         {groups.width * group.width, groups.height * group.height,
                          groups.depth * group.depth},
                         group);
            })
        .on("endEncoding", [](Encoder* encoder) {
            open(encoder, "endEncoding")->is_ended = true;
            encoder->command_buffer->encoder = nullptr;
        });
}

void define_encoder_factory() {
    Class<CommandBuffer>::extend().on("computeCommandEncoder", [](CommandBuffer* command_buffer) {
        return new_encoder(command_buffer);
    });
}

} // namespace metal_double
