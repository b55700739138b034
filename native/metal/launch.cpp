// One launch: a command buffer, an encoder, and the wait for the GPU.
//
// A warm launch allocates nothing of ours and sends the fewest messages Metal allows; docs/apple.md
// counts them, and a test holds it to that. The lock covers encoding only, never the wait.
#include "metal/device.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>

namespace pymetal::metal {

namespace {

// The buffers of one launch. They go back to the pool unless the GPU may still use them. Slots over
// the same memory (an array updated in place) share one buffer.
class Buffers {
  public:
    Buffers(BufferPool& pool, std::span<const BufferSlot> slots) : pool_(pool), slots_(slots) {
        try {
            for (; count_ < slots.size(); ++count_)
                acquire(count_);
        } catch (...) {
            release();
            throw;
        }
    }
    ~Buffers() { release(); }
    Buffers(const Buffers&) = delete;
    Buffers& operator=(const Buffers&) = delete;

    std::span<const Buffer> all() const { return {buffers_.data(), count_}; }

    void copy_back() const {
        for (size_t i = 0; i < count_; ++i)
            if (slots_[i].is_written && buffers_[i].copy)
                std::memcpy(slots_[i].memory, buffers_[i].copy, slots_[i].size_bytes);
    }

    // The command buffer keeps them as long as it needs; nobody else may have them.
    void abandon() {
        for (size_t i = 0; i < count_; ++i)
            if (!is_alias_[i])
                BufferPool::abandon(buffers_[i]);
        count_ = 0;
    }

  private:
    void acquire(size_t i) {
        auto slot = slots_[i];
        for (size_t j = 0; j < slots_.size(); ++j) {
            auto& other = slots_[j];
            if (j == i || other.memory != slot.memory || other.size_bytes != slot.size_bytes)
                continue;
            if (j < i && buffers_[j].buffer) {
                buffers_[i] = buffers_[j];
                is_alias_[i] = true;
                return;
            }
            slot.is_written |= other.is_written;
        }
        buffers_[i] = pool_.acquire(slot);
    }

    void release() {
        for (size_t i = 0; i < count_; ++i)
            if (!is_alias_[i])
                pool_.release(buffers_[i]);
        count_ = 0;
    }

    BufferPool& pool_;
    std::span<const BufferSlot> slots_;
    std::array<Buffer, buffer_indices> buffers_{};
    std::array<bool, buffer_indices> is_alias_{};
    size_t count_ = 0;
};

// Set by the completion handler of a launch with a timeout.
struct Completion {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_done = false;
    bool is_abandoned = false;
    std::shared_ptr<Shared> shared;

    // Runs on a thread of Metal's, where an exception would end the process.
    void finish() noexcept {
        std::lock_guard lock(mutex);
        is_done = true;
        if (is_abandoned)
            --shared->unfinished_launches;
        changed.notify_one();
    }

    bool wait(double seconds) {
        std::unique_lock lock(mutex);
        if (changed.wait_for(lock, std::chrono::duration<double>(seconds),
                             [this] { return is_done; }))
            return true;
        is_abandoned = true;
        ++shared->unfinished_launches;
        return false;
    }
};

MTL::Size metal_size(const Size3& size) {
    return MTL::Size(size[0], size[1], size[2]);
}

uint32_t bit(size_t index) {
    return uint32_t{1} << index;
}

std::string seconds_text(double seconds) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", seconds);
    return text;
}

} // namespace

GpuTime result_of(MTL::CommandBuffer* command_buffer) {
    if (command_buffer->status() == MTL::CommandBufferStatusError)
        throw failure("run", command_buffer->error(), "the GPU gave up and did not say why");
    return {command_buffer->GPUStartTime(), command_buffer->GPUEndTime()};
}

Encoding::Encoding(MTL::CommandBuffer* command_buffer)
    : encoder(command_buffer->computeCommandEncoder()) {
    if (!encoder)
        throw Failure("device", "Metal made no command encoder");
}

MetalPipeline::MetalPipeline(std::shared_ptr<MetalDevice> device,
                             Owned<MTL::ComputePipelineState> pipeline,
                             std::vector<BindingInfo> bindings, bool logs)
    : device_(std::move(device)), pipeline_(std::move(pipeline)), bindings_(std::move(bindings)),
      logs_(logs), max_threads_(pipeline_->maxTotalThreadsPerThreadgroup()),
      static_memory_(pipeline_->staticThreadgroupMemoryLength()),
      simdgroup_(pipeline_->threadExecutionWidth()) {
    for (auto& binding : bindings_)
        if (binding.kind == "buffer")
            buffers_.push_back({binding.index, nullptr, 0, binding.access != "read"});
}

// pymetal/geometry.py and arguments.py check first, in words made for users. This keeps any other
// caller from what Metal would drop without a word, or abort on.
void MetalPipeline::check(const Launch& launch) const {
    if (launch.buffers.size() > buffer_indices)
        throw Failure("launch", "more buffers than a kernel can have");
    uint32_t bound = 0, memory = 0;
    for (auto& slot : launch.buffers) {
        if (slot.index >= buffer_indices || !slot.memory || !slot.size_bytes)
            throw Failure("launch", "a buffer without memory, or beyond buffer(30)");
        if (slot.size_bytes > device_->info().max_buffer_bytes)
            throw Failure("launch", "a buffer longer than the device allows");
        bound |= bit(slot.index);
    }
    for (auto& part : launch.threadgroup_memory) {
        if (part.index >= buffer_indices)
            throw Failure("launch", "threadgroup memory beyond threadgroup(30)");
        memory |= bit(part.index);
    }
    for (auto& binding : bindings_) {
        auto have = binding.kind == "buffer" ? bound : memory;
        bool is_ours = binding.kind == "buffer" || binding.kind == "threadgroup";
        if (is_ours && !(have & bit(binding.index)))
            throw Failure("launch", "nothing is bound to " + binding.kind + "(" +
                                        std::to_string(binding.index) + ") '" + binding.name + "'");
    }
    auto& group = launch.threadgroup;
    auto threads = group[0] * group[1] * group[2];
    if (!threads || !launch.grid[0] || !launch.grid[1] || !launch.grid[2])
        throw Failure("launch", "a grid or threadgroup of no threads");
    if (threads > max_threads_)
        throw Failure("launch", "the threadgroup has more threads than the pipeline allows (" +
                                    std::to_string(max_threads_) + ")");
    if (device_->info().has_nonuniform_threadgroups)
        return;
    for (size_t i = 0; i < 3; ++i)
        if (launch.grid[i] % group[i])
            throw Failure("launch", "this GPU lacks non-uniform threadgroups: make the grid a "
                                    "multiple of the threadgroup");
}

bool MetalPipeline::passes(const Launch& launch) const {
    try {
        check(launch);
        return true;
    } catch (const Failure&) {
        return false;
    }
}

void MetalPipeline::encode(Encoding& encoding, const Launch& launch,
                           std::span<const Buffer> buffers) const {
    auto* encoder = encoding.encoder;
    if (encoding.pipeline != this)
        encoder->setComputePipelineState(pipeline_.get());
    encoding.pipeline = this;
    for (size_t i = 0; i < buffers.size(); ++i) {
        auto& slot = launch.buffers[i];
        auto& bound = encoding.buffers[slot.index];
        if (!buffers[i].buffer)
            encoder->setBytes(slot.memory, slot.size_bytes, slot.index);
        else if (buffers[i].buffer != bound)
            encoder->setBuffer(buffers[i].buffer, 0, slot.index);
        bound = buffers[i].buffer;
    }
    for (auto& part : launch.threadgroup_memory)
        encoder->setThreadgroupMemoryLength(part.size_bytes, part.index);
    auto& group = launch.threadgroup;
    if (device_->info().has_nonuniform_threadgroups)
        encoder->dispatchThreads(metal_size(launch.grid), metal_size(group));
    else
        encoder->dispatchThreadgroups(MTL::Size(launch.grid[0] / group[0],
                                                launch.grid[1] / group[1],
                                                launch.grid[2] / group[2]),
                                      metal_size(group));
}

GpuTime MetalPipeline::launch(const Launch& launch) {
    check(launch);
    AutoreleasePool pool;
    Buffers buffers(device_->buffers(), launch.buffers);
    std::shared_ptr<Completion> completion;
    if (launch.timeout_seconds > 0) {
        completion = std::make_shared<Completion>();
        completion->shared = device_->shared();
    }
    MTL::CommandBuffer* command_buffer;
    {
        std::lock_guard lock(device_->encoding());
        auto* queue = device_->queue();
        // We hold every object until the wait is over, unless a timeout may end it early.
        command_buffer = logs_        ? queue->commandBuffer(device_->logging_descriptor())
                         : completion ? queue->commandBuffer()
                                      : queue->commandBufferWithUnretainedReferences();
        if (!command_buffer)
            throw Failure("device", "Metal made no command buffer");
        {
            Encoding encoding(command_buffer);
            encode(encoding, launch, buffers.all());
        }
        if (completion)
            command_buffer->addCompletedHandler(^(MTL::CommandBuffer*) {
              completion->finish();
            });
        command_buffer->commit();
    }
    if (completion && !completion->wait(launch.timeout_seconds)) {
        buffers.abandon();
        throw Failure("timeout", "the kernel did not finish within " +
                                     seconds_text(launch.timeout_seconds) + " s");
    }
    command_buffer->waitUntilCompleted();
    auto time = result_of(command_buffer);
    set_gpu_seconds(time.end_seconds - time.start_seconds);
    buffers.copy_back();
    return time;
}

} // namespace pymetal::metal
