// The Metal device as the rest of the module sees it: no Apple header is needed to include this.
//
// device.cpp, library.cpp, launch.cpp, batch.cpp and their neighbours implement it with metal-cpp;
// absent.cpp where there is no Metal. Every function throws Failure and nothing else of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace pymetal::metal {

// What Metal refused, with its own error domain, code and text. `stage` is what was being done;
// pymetal/metal/errors.py makes the typed error of it.
struct Failure : std::runtime_error {
    Failure(std::string stage_, const std::string& text, std::string domain_ = {}, long code_ = 0)
        : std::runtime_error(text), stage(std::move(stage_)), domain(std::move(domain_)),
          code(code_) {}
    std::string stage;
    std::string domain;
    long code;
    size_t launches = 1; // that shared the command buffer which failed
};

using Size3 = std::array<size_t, 3>;

struct DeviceInfo {
    std::string name;
    uint64_t registry_id = 0;
    bool is_paravirtual = false; // a virtual machine's
    bool has_unified_memory = false;
    bool has_nonuniform_threadgroups = false;
    size_t max_buffer_bytes = 0;
    size_t max_threadgroup_memory_bytes = 0;
    size_t recommended_working_set_bytes = 0;
    Size3 max_threadgroup_size{};
    std::vector<std::string> families;
    std::array<long, 3> os_version{};
};

struct CompileOptions {
    std::pair<int, int> language_version; // (0, 0): the newest that the OS knows
    int math_mode = 0;                    // 0 safe, 1 relaxed, 2 fast: Metal's own numbers
    std::vector<std::pair<std::string, std::string>> macros;
    bool enable_logging = false;
    bool use_metal4_compiler = false; // where the OS has it
};

struct ConstantInfo {
    std::string name;
    size_t index = 0;
    std::string type_name;
    bool is_required = true;
};

// A function constant's value: MTLDataType is looked up from the type's name.
struct ConstantValue {
    size_t index = 0;
    std::string type_name;
    std::string bytes;
};

struct MemberInfo {
    std::string name;
    std::string type_name; // "" for a struct
    size_t offset = 0;
    size_t array_length = 0;
    std::vector<MemberInfo> members;
};

struct BindingInfo {
    std::string kind; // "buffer", "threadgroup", "texture", "sampler" or "other"
    std::string name;
    size_t index = 0;
    std::string access;    // "read", "write" or "read_write"
    std::string type_name; // "" for a struct
    size_t size_bytes = 0;
    size_t align_bytes = 0;
    std::vector<MemberInfo> members;
};

// Memory for the buffer at `index`. What the kernel writes is in `memory` when launch returns.
struct BufferSlot {
    size_t index = 0;
    void* memory = nullptr;
    size_t size_bytes = 0;
    bool is_written = false;
};

struct ThreadgroupMemory {
    size_t index = 0;
    size_t size_bytes = 0;
};

struct Launch {
    std::span<const BufferSlot> buffers;
    std::span<const ThreadgroupMemory> threadgroup_memory;
    Size3 grid{}; // in threads
    Size3 threadgroup{};
    double timeout_seconds = 0; // 0: wait for ever
};

struct GpuTime {
    double start_seconds = 0;
    double end_seconds = 0;
};

class Pipeline;

struct Step {
    Pipeline* pipeline = nullptr;
    Launch launch; // without a timeout
};

// What came of launching steps: the GPU's seconds for each, up to the failure if there is one.
struct StepsResult {
    std::vector<double> seconds;
    std::optional<Failure> failure;
};

struct LogMessage {
    long level = 0;
    std::string subsystem;
    std::string category;
    std::string text;
};

class Library;

class Device {
  public:
    virtual ~Device() = default;
    virtual const DeviceInfo& info() const = 0;
    virtual std::shared_ptr<Library> library_from_source(const std::string& source,
                                                         const CompileOptions&) = 0;
    virtual std::shared_ptr<Library> library_from_metallib(const std::string& bytes) = 0;
    // One step after another, as many as can in one command buffer; a failure ends it, or time to
    // tell the caller of those that are done.
    virtual StepsResult launch_all(std::span<const Step>) = 0;
    // How many launches that timed out are still running on the GPU.
    virtual int unfinished_launches() const = 0;
    // One capture at a time; `path` must not exist.
    virtual void start_capture(const std::string& path) = 0;
    virtual void stop_capture() = 0;
    // What kernels logged since the last call.
    virtual std::vector<LogMessage> take_log() = 0;
};

class Library {
  public:
    virtual ~Library() = default;
    virtual std::vector<std::string> function_names() const = 0;
    virtual std::vector<ConstantInfo> constants(const std::string& function) const = 0;
    virtual std::shared_ptr<Pipeline> pipeline(const std::string& function,
                                               const std::vector<ConstantValue>&) = 0;
};

class Pipeline {
  public:
    virtual ~Pipeline() = default;
    virtual const std::vector<BindingInfo>& bindings() const = 0;
    // The slots of its buffers, without memory.
    virtual std::span<const BufferSlot> buffers() const = 0;
    virtual size_t max_total_threads_per_threadgroup() const = 0;
    virtual size_t static_threadgroup_memory_bytes() const = 0;
    virtual size_t threads_per_simdgroup() const = 0;
    // Blocks until the GPU is done. Any number of threads may launch at once.
    virtual GpuTime launch(const Launch&) = 0;
};

bool is_present();
std::shared_ptr<Device> open_device();

} // namespace pymetal::metal
