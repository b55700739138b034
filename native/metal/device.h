// The metal-cpp side of Device, shared by the files of this folder.
#pragma once

#include <array>
#include <atomic>
#include <mutex>

#include "metal/buffers.h"
#include "metal/objects.h"

namespace pymetal::metal {

// What a completion or log handler touches; it may outlive the device.
struct Shared {
    std::atomic<int> unfinished_launches{0};
    std::mutex log_mutex;
    std::vector<LogMessage> log;
};

class MetalDevice final : public Device, public std::enable_shared_from_this<MetalDevice> {
  public:
    explicit MetalDevice(Owned<MTL::Device> device);

    const DeviceInfo& info() const override { return info_; }
    std::shared_ptr<Library> library_from_source(const std::string& source,
                                                 const CompileOptions&) override;
    std::shared_ptr<Library> library_from_metallib(const std::string& bytes) override;
    StepsResult launch_all(std::span<const Step>) override;
    int unfinished_launches() const override { return shared_->unfinished_launches; }
    void start_capture(const std::string& path) override;
    void stop_capture() override;
    std::vector<LogMessage> take_log() override;

    MTL::Device* metal() const { return device_.get(); }
    MTL::CommandQueue* queue() const { return queue_.get(); }
    BufferPool& buffers() { return buffers_; }
    std::mutex& encoding() { return encoding_; }
    const std::shared_ptr<Shared>& shared() const { return shared_; }
    // Command buffers of kernels that log are made with this; nil until logging is enabled.
    const MTL::CommandBufferDescriptor* logging_descriptor() const { return logging_.get(); }
    void enable_logging();

  private:
    void launch_some(std::span<const Step>, StepsResult&);

    Owned<MTL::Device> device_;
    Owned<MTL::CommandQueue> queue_;
    DeviceInfo info_;
    BufferPool buffers_;
    std::mutex encoding_; // command buffers are encoded by one thread at a time
    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
    std::mutex logging_mutex_;
    Owned<MTL::LogState> log_state_;
    Owned<MTL::CommandBufferDescriptor> logging_;
};

class MetalLibrary final : public Library {
  public:
    MetalLibrary(std::shared_ptr<MetalDevice> device, Owned<MTL::Library> library, bool logs)
        : device_(std::move(device)), library_(std::move(library)), logs_(logs) {}

    std::vector<std::string> function_names() const override;
    std::vector<ConstantInfo> constants(const std::string& function) const override;
    std::shared_ptr<Pipeline> pipeline(const std::string& function,
                                       const std::vector<ConstantValue>&) override;

  private:
    Owned<MTL::Function> function(const std::string& name) const;

    std::shared_ptr<MetalDevice> device_;
    Owned<MTL::Library> library_;
    bool logs_;
};

class MetalPipeline;

// An encoder, and what it has already: Metal needs to be told of changes only.
struct Encoding {
    explicit Encoding(MTL::CommandBuffer* command_buffer);
    ~Encoding() { encoder->endEncoding(); }
    Encoding(const Encoding&) = delete;
    Encoding& operator=(const Encoding&) = delete;

    MTL::ComputeCommandEncoder* encoder;
    const MetalPipeline* pipeline = nullptr;
    std::array<MTL::Buffer*, buffer_indices> buffers{};
};

// Throws Failure if the command buffer, which is done, failed.
GpuTime result_of(MTL::CommandBuffer* command_buffer);

class MetalPipeline final : public Pipeline {
  public:
    MetalPipeline(std::shared_ptr<MetalDevice> device, Owned<MTL::ComputePipelineState> pipeline,
                  std::vector<BindingInfo> bindings, bool logs);

    const std::vector<BindingInfo>& bindings() const override { return bindings_; }
    std::span<const BufferSlot> buffers() const override { return buffers_; }
    size_t max_total_threads_per_threadgroup() const override { return max_threads_; }
    size_t static_threadgroup_memory_bytes() const override { return static_memory_; }
    size_t threads_per_simdgroup() const override { return simdgroup_; }
    GpuTime launch(const Launch&) override;

    // Throws Failure for what Metal would drop without a word, or abort on.
    void check(const Launch&) const;
    bool passes(const Launch&) const;
    // `buffers` has one for each slot of the launch; nil: the slot goes by setBytes.
    void encode(Encoding&, const Launch&, std::span<const Buffer> buffers) const;
    bool logs() const { return logs_; }
    // Of the last run, as far as is known.
    double gpu_seconds() const { return gpu_seconds_.load(std::memory_order_relaxed); }
    void set_gpu_seconds(double seconds) { gpu_seconds_.store(seconds, std::memory_order_relaxed); }

  private:
    std::shared_ptr<MetalDevice> device_;
    Owned<MTL::ComputePipelineState> pipeline_;
    std::vector<BindingInfo> bindings_;
    std::vector<BufferSlot> buffers_;
    bool logs_;
    std::atomic<double> gpu_seconds_{0};
    size_t max_threads_, static_memory_, simdgroup_;
};

std::vector<BindingInfo> bindings_of(const MTL::ComputePipelineReflection* reflection);

} // namespace pymetal::metal
