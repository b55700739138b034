// The Metal objects of the double.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "engine.hpp"
#include "foundation.hpp"

namespace metal_double {

using UInteger = unsigned long;

struct Size {
    UInteger width, height, depth;
    UInteger total() const { return width * height * depth; }
    bool has_zero() const { return !width || !height || !depth; }
};

constexpr UInteger buffer_count = 31;
constexpr UInteger max_threads_per_threadgroup = 1024;
constexpr UInteger max_threadgroup_memory = 32768;
constexpr UInteger page_size = 16384;

struct Device : Object {
    static inline objc_class* klass;
    std::atomic<UInteger> allocated{0};
    ~Device();
};

struct CompileOptions : Object {
    static inline objc_class* klass;
    std::string math = "fast";
    UInteger language_version = 0;
    bool logging = false;
    Ref<Dictionary> macros;
};

struct Library : Object {
    static inline objc_class* klass;
    EngineLibrary engine;
};

struct Function : Object {
    static inline objc_class* klass;
    Ref<Library> library;
    const FunctionInfo* info = nullptr;
    bool is_specialized = false;
    std::string constants; // lines "INDEX HEX" for the engine
};

struct ConstantValues : Object {
    static inline objc_class* klass;
    std::map<UInteger, std::pair<UInteger, std::string>> values; // index: type, bytes
};

struct Pipeline : Object {
    static inline objc_class* klass;
    EnginePipeline engine;
};

struct Buffer : Object {
    static inline objc_class* klass;
    Ref<Device> device;
    char* memory = nullptr;
    UInteger length = 0;
    bool is_owned = true;
    std::optional<Block> deallocator;
    ~Buffer();
};

struct LogState : Object {
    static inline objc_class* klass;
    std::deque<Block> handlers;
};

struct CommandBuffer;

// Runs its command buffers one after another on a thread of its own, as a GPU does.
struct CommandQueue : Object {
    static inline objc_class* klass;
    Ref<Device> device;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<CommandBuffer*> submitted;
    bool is_closing = false;
    std::thread thread;
    ~CommandQueue();
    void submit(CommandBuffer*);
    void work();
};

struct alignas(16) Aligned {
    char bytes[16];
};

struct Slot {
    Buffer* buffer = nullptr;
    UInteger offset = 0;
    std::vector<Aligned> bytes; // of setBytes, `size` of them, aligned for any type
    UInteger size = 0;
    bool is_set = false;
};

struct Dispatch {
    Pipeline* pipeline = nullptr;
    Slot slots[buffer_count];
    UInteger threadgroup_memory[buffer_count] = {};
    Size grid{}, threadgroup{};
};

struct Encoder;

enum Status : UInteger { not_enqueued = 0, committed = 2, completed = 4, failed = 5 };

struct CommandBuffer : Object {
    static inline objc_class* klass;
    Ref<CommandQueue> queue;
    bool retains = true;
    std::vector<Ref<Object>> references;
    Encoder* encoder = nullptr;
    std::vector<Dispatch> dispatches;
    std::deque<Block> handlers;
    Ref<LogState> log;
    std::mutex mutex;
    std::condition_variable changed;
    Status status = not_enqueued;
    bool is_done = false; // handlers have run
    Ref<Error> error;
    double gpu_start = 0, gpu_end = 0;

    ~CommandBuffer();
    void run();
    void finish(Status, Ref<Error>);
    void keep(Object*);
};

struct Encoder : Object {
    static inline objc_class* klass;
    Ref<CommandBuffer> command_buffer;
    std::thread::id thread = std::this_thread::get_id();
    bool is_ended = false;
    Dispatch current;
    ~Encoder();
};

Ref<Device> system_device();
Object* new_library(const std::string& data, bool is_metallib, CompileOptions*, Object** error);
Object* new_pipeline(Device*, Object* function, UInteger options, Object** reflection,
                     Object** error);

void define_device();
void define_libraries();
void define_pipelines();
void define_buffers();
void define_commands();
void define_encoder();
void define_encoder_factory();
void define_capture();
void define_logs();
void define_metal4();

} // namespace metal_double
