// MTLCommandQueue and MTLCommandBuffer: committed work runs on the queue's own thread.
#include <chrono>
#include <exception>

#include "control.h"
#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

void log_messages(LogState*);

namespace {

constexpr auto command_buffer_domain = "MTLCommandBufferErrorDomain";

thread_local bool queue_died_here = false;
std::atomic<uint64_t> command_buffers{0};

std::mutex stuck_mutex;
std::vector<CommandBuffer*>& stuck() {
    static auto* instance = new std::vector<CommandBuffer*>;
    return *instance;
}

double now_seconds() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// Not how long the engine took: tests must not depend on how busy the machine is.
double gpu_seconds(size_t dispatches) {
    constexpr double microsecond = 1e-6;
    auto fault = take_fault("gpu time");
    return static_cast<double>(dispatches) * microsecond *
           (fault ? static_cast<double>(fault->code) : 1);
}

// Whoever leaves an exception in a completion handler kills the process; so does the double.
void call_handler(const Block& block, CommandBuffer* command_buffer) noexcept {
    call_block(block.get(), static_cast<Object*>(command_buffer));
}

metal_double_launch launch_of(const Dispatch& dispatch) {
    metal_double_launch launch{};
    auto set = [](size_t (&to)[3], Size from) {
        to[0] = from.width;
        to[1] = from.height;
        to[2] = from.depth;
    };
    set(launch.grid, dispatch.grid);
    set(launch.threadgroup, dispatch.threadgroup);
    for (UInteger i = 0; i < buffer_count; ++i) {
        auto& slot = dispatch.slots[i];
        launch.threadgroup_memory[i] = dispatch.threadgroup_memory[i];
        if (!slot.is_set)
            continue;
        if (slot.buffer) {
            if (!is_alive(slot.buffer))
                misuse("the buffer at index %lu was released before its command buffer ran", i);
            launch.buffers[i] = {slot.buffer->memory + slot.offset,
                                 slot.buffer->length - slot.offset};
        } else {
            launch.buffers[i] = {const_cast<Aligned*>(slot.bytes.data()), slot.size};
        }
    }
    return launch;
}

CommandBuffer* new_command_buffer(CommandQueue* queue, bool retains) {
    if (take_fault("no command buffer"))
        return nullptr;
    auto* command_buffer = make<CommandBuffer>();
    command_buffer->queue = Ref<CommandQueue>(queue);
    command_buffer->retains = retains;
    return autoreleased(command_buffer);
}

struct CommandBufferDescriptor : Object {
    static inline objc_class* klass;
    Ref<LogState> log;
};

void define_descriptor() {
    Class<CommandBufferDescriptor>("MTLCommandBufferDescriptor")
        .concrete()
        .since(15)
        .on("setLogState:", [](CommandBufferDescriptor* descriptor, Object* log) {
            descriptor->log = expect<LogState>(log, "setLogState:");
        });
}

void define_queue() {
    Class<CommandQueue>("MTLCommandQueue")
        .on("commandBuffer", [](CommandQueue* queue) { return new_command_buffer(queue, true); })
        .on("commandBufferWithUnretainedReferences",
            [](CommandQueue* queue) { return new_command_buffer(queue, false); })
        .on("commandBufferWithDescriptor:", [](CommandQueue* queue, Object* object) {
            auto* descriptor =
                expect<CommandBufferDescriptor>(object, "commandBufferWithDescriptor:");
            auto* command_buffer = new_command_buffer(queue, true);
            if (command_buffer)
                command_buffer->log = descriptor->log;
            return command_buffer;
        });
    Class<Device>::extend().on("newCommandQueue", [](Device* device) -> Object* {
        if (take_fault("no queue"))
            return nullptr;
        auto* queue = make<CommandQueue>();
        queue->device = Ref<Device>(device);
        queue->thread = std::thread([queue] { queue->work(); });
        return queue;
    });
}

void check_committed(CommandBuffer* command_buffer, const char* selector) {
    if (command_buffer->status == not_enqueued)
        misuse("[MTLCommandBuffer %s] before commit", selector);
}

double gpu_time(CommandBuffer* command_buffer, double CommandBuffer::* time, const char* selector) {
    std::lock_guard lock(command_buffer->mutex);
    if (command_buffer->status < completed)
        misuse("[MTLCommandBuffer %s] before the command buffer completed", selector);
    return command_buffer->*time;
}

void define_command_buffer() {
    Class<CommandBuffer>("MTLCommandBuffer")
        .on("addCompletedHandler:",
            [](CommandBuffer* command_buffer, const void* block) {
                if (command_buffer->status != not_enqueued)
                    misuse("[MTLCommandBuffer addCompletedHandler:] after commit");
                command_buffer->handlers.emplace_back(block);
            })
        .on("commit",
            [](CommandBuffer* command_buffer) {
                if (command_buffer->status != not_enqueued)
                    misuse("[MTLCommandBuffer commit]: committed twice");
                if (command_buffer->encoder)
                    misuse("[MTLCommandBuffer commit] with an open encoder");
                command_buffer->status = committed;
                ++command_buffers;
                command_buffer->queue->submit(retained(command_buffer));
            })
        .on("waitUntilCompleted",
            [](CommandBuffer* command_buffer) {
                check_committed(command_buffer, "waitUntilCompleted");
                std::unique_lock lock(command_buffer->mutex);
                command_buffer->changed.wait(lock, [&] { return command_buffer->is_done; });
            })
        .on("status",
            [](CommandBuffer* command_buffer) -> UInteger {
                std::lock_guard lock(command_buffer->mutex);
                return command_buffer->status;
            })
        .on("error",
            [](CommandBuffer* command_buffer) {
                std::lock_guard lock(command_buffer->mutex);
                return command_buffer->error.get();
            })
        .on("GPUStartTime",
            [](CommandBuffer* command_buffer) {
                return gpu_time(command_buffer, &CommandBuffer::gpu_start, "GPUStartTime");
            })
        .on("GPUEndTime", [](CommandBuffer* command_buffer) {
            return gpu_time(command_buffer, &CommandBuffer::gpu_end, "GPUEndTime");
        });
}

} // namespace

CommandBuffer::~CommandBuffer() {
    if (encoder)
        misuse("command buffer released with an open encoder");
}

void CommandBuffer::keep(Object* object) {
    if (retains)
        references.emplace_back(object);
}

void CommandBuffer::finish(Status end, Ref<Error> failure) {
    {
        std::lock_guard lock(mutex);
        status = end;
        error = failure;
        gpu_end = gpu_start + gpu_seconds(dispatches.size());
    }
    SystemPool pool;
    for (auto& handler : handlers)
        call_handler(handler, this);
    references.clear();
    std::lock_guard lock(mutex);
    is_done = true;
    changed.notify_all();
}

void CommandBuffer::run() {
    if (take_fault("never completes")) {
        std::lock_guard lock(stuck_mutex);
        stuck().push_back(retained(this));
        return;
    }
    gpu_start = now_seconds();
    Status end = completed;
    Ref<Error> failure;
    auto fail = [&](long code, const std::string& text) {
        end = failed;
        failure = Ref<Error>::adopt(new_error(command_buffer_domain, code, text));
    };
    if (auto fault = take_fault("command buffer")) {
        fail(fault->code, fault->text);
    } else {
        try {
            for (auto& dispatch : dispatches)
                engine_launch(dispatch.pipeline->engine.handle->value(), launch_of(dispatch));
        } catch (const EngineFailure& caught) {
            fail(caught.code, caught.text);
        }
    }
    bool is_late = take_fault("late log").has_value();
    if (log && !is_late)
        log_messages(log.get());
    finish(end, failure);
    if (log && is_late)
        log_messages(log.get());
}

void CommandQueue::submit(CommandBuffer* command_buffer) {
    std::lock_guard lock(mutex);
    submitted.push_back(command_buffer);
    changed.notify_one();
}

void CommandQueue::work() {
    for (;;) {
        CommandBuffer* next;
        {
            std::unique_lock lock(mutex);
            changed.wait(lock, [this] { return is_closing || !submitted.empty(); });
            if (submitted.empty())
                return;
            next = submitted.front();
            submitted.pop_front();
        }
        next->run();
        release(next);
        if (queue_died_here)
            return;
    }
}

// The last owner may be a command buffer that dies on the queue's own thread.
CommandQueue::~CommandQueue() {
    if (thread.get_id() == std::this_thread::get_id()) {
        queue_died_here = true;
        thread.detach();
        return;
    }
    {
        std::lock_guard lock(mutex);
        is_closing = true;
    }
    changed.notify_one();
    if (thread.joinable())
        thread.join();
}

void define_commands() {
    define_descriptor();
    define_queue();
    define_command_buffer();
}

extern "C" uint64_t metal_double_command_buffers() {
    return command_buffers;
}

extern "C" void metal_double_finish_stuck() {
    std::vector<CommandBuffer*> ready;
    {
        std::lock_guard lock(stuck_mutex);
        ready.swap(stuck());
    }
    for (auto* command_buffer : ready) {
        command_buffer->finish(completed, {});
        release(command_buffer);
    }
}

} // namespace metal_double
