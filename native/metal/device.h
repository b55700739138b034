// The metal-cpp side of Device, shared by the files of this folder.
#pragma once

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
    ~MetalDevice() override;

    const DeviceInfo& info() const override { return info_; }
    std::shared_ptr<Library> library_from_source(const std::string& source,
                                                 const CompileOptions&) override;
    std::shared_ptr<Library> library_from_metallib(const std::string& bytes) override;
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

class MetalPipeline final : public Pipeline {
  public:
    MetalPipeline(std::shared_ptr<MetalDevice> device, Owned<MTL::ComputePipelineState> pipeline,
                  std::vector<BindingInfo> bindings, bool logs);

    const std::vector<BindingInfo>& bindings() const override { return bindings_; }
    size_t max_total_threads_per_threadgroup() const override { return max_threads_; }
    size_t static_threadgroup_memory_bytes() const override { return static_memory_; }
    size_t threads_per_simdgroup() const override { return simdgroup_; }
    GpuTime launch(const Launch&) override;

  private:
    void check(const Launch&) const;
    void encode(MTL::CommandBuffer*, const Launch&, std::span<const Buffer>) const;

    std::shared_ptr<MetalDevice> device_;
    Owned<MTL::ComputePipelineState> pipeline_;
    std::vector<BindingInfo> bindings_;
    bool logs_;
    size_t max_threads_, static_memory_, simdgroup_;
    uint32_t needed_buffers_ = 0, needed_threadgroup_memory_ = 0; // bit per index
};

std::vector<BindingInfo> bindings_of(const MTL::ComputePipelineReflection* reflection);

} // namespace pymetal::metal
