// misuse NAME: breaks one of Metal's rules through metal-cpp. The double must end it by name;
// whoever comes back exits with 0. "nothing" breaks none.
#define METALCPP_SYMBOL_VISIBILITY_HIDDEN
#define NS_PRIVATE_IMPLEMENTATION
#define MTL_PRIVATE_IMPLEMENTATION
#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>

#include "small_engine.h"

#include <cstdio>
#include <map>
#include <string>
#include <thread>

namespace {

// What a launch needs, made as it should be. Members are owned.
struct Session {
    NS::AutoreleasePool* pool = NS::AutoreleasePool::alloc()->init();
    MTL::Device* device = MTL::CreateSystemDefaultDevice();
    MTL::CommandQueue* queue = device->newCommandQueue();
    NS::Error* error = nullptr;
    MTL::Library* library =
        device->newLibrary(text("source"), static_cast<MTL::CompileOptions*>(nullptr), &error);
    MTL::Function* function = library->newFunction(text("add_one"));
    MTL::ComputePipelineState* pipeline =
        device->newComputePipelineState(function, MTL::PipelineOptionNone, nullptr, nullptr);
    MTL::Buffer* buffer = device->newBuffer(16, MTL::ResourceStorageModeShared);
    MTL::CommandBuffer* command_buffer = queue->commandBuffer();
    MTL::ComputeCommandEncoder* encoder = command_buffer->computeCommandEncoder();

    static NS::String* text(const char* characters) {
        return NS::String::string(characters, NS::UTF8StringEncoding);
    }
    void bind() {
        uint32_t n = 4;
        encoder->setComputePipelineState(pipeline);
        encoder->setBuffer(buffer, 0, 0);
        encoder->setBytes(&n, sizeof n, 1);
    }
    void dispatch(NS::UInteger threads = 4, NS::UInteger group = 4) {
        encoder->dispatchThreads(MTL::Size(threads, 1, 1), MTL::Size(group, 1, 1));
    }
    void run() {
        encoder->endEncoding();
        command_buffer->commit();
        command_buffer->waitUntilCompleted();
    }
    void close() {
        for (NS::Object* object :
             std::initializer_list<NS::Object*>{buffer, pipeline, function, library, queue, device})
            object->release();
        pool->release();
    }
};

using Action = void (*)(Session&);

const std::map<std::string, Action> actions = {
    {"nothing",
     [](Session& s) {
         s.bind();
         s.dispatch();
         s.run();
         s.close();
     }},
    {"a leak",
     [](Session& s) {
         s.encoder->endEncoding();
         s.buffer->retain();
         s.close();
     }},
    {"an unknown selector",
     [](Session&) {
         metal_double_set_os(14);
         MTL::CompileOptions::alloc()->init()->setMathMode(MTL::MathModeSafe);
     }},
    {"use after release",
     [](Session& s) {
         s.buffer->release();
         s.buffer->length();
     }},
    {"a double release",
     [](Session& s) {
         s.buffer->release();
         s.buffer->release();
     }},
    {"use after the pool drained",
     [](Session& s) {
         auto* pool = NS::AutoreleasePool::alloc()->init();
         auto* name = s.device->name();
         pool->release();
         name->length();
     }},
    {"autorelease without a pool",
     [](Session& s) { std::thread([&] { s.device->name(); }).join(); }},
    {"commit with an open encoder", [](Session& s) { s.command_buffer->commit(); }},
    {"a second commit",
     [](Session& s) {
         s.encoder->endEncoding();
         s.command_buffer->commit();
         s.command_buffer->commit();
     }},
    {"an encoder without endEncoding", [](Session& s) { s.pool->release(); }},
    {"an encoder after its end",
     [](Session& s) {
         s.encoder->endEncoding();
         s.encoder->setComputePipelineState(s.pipeline);
     }},
    {"an encoder on two threads", [](Session& s) { std::thread([&] { s.bind(); }).join(); }},
    {"two encoders at once", [](Session& s) { s.command_buffer->computeCommandEncoder(); }},
    {"a wait before commit",
     [](Session& s) {
         s.encoder->endEncoding();
         s.command_buffer->waitUntilCompleted();
     }},
    {"a GPU time before completion", [](Session& s) { s.command_buffer->GPUEndTime(); }},
    {"a late completion handler",
     [](Session& s) {
         s.encoder->endEncoding();
         s.command_buffer->commit();
         s.command_buffer->addCompletedHandler(^(MTL::CommandBuffer*){
         });
     }},
    {"an exception in a completion handler",
     [](Session& s) {
         s.command_buffer->addCompletedHandler(^(MTL::CommandBuffer*) {
           throw 1;
         });
         s.run();
     }},
    {"a dispatch without a pipeline", [](Session& s) { s.dispatch(); }},
    {"a missing binding",
     [](Session& s) {
         s.encoder->setComputePipelineState(s.pipeline);
         s.encoder->setBuffer(s.buffer, 0, 0);
         s.dispatch();
     }},
    {"a threadgroup over the pipeline's limit",
     [](Session& s) {
         s.bind();
         s.dispatch(1024, 512);
     }},
    {"a grid of nothing",
     [](Session& s) {
         s.bind();
         s.dispatch(0, 4);
     }},
    {"too much threadgroup memory",
     [](Session& s) {
         s.bind();
         s.encoder->setThreadgroupMemoryLength(65536, 0);
         s.dispatch();
     }},
    {"odd threadgroup memory", [](Session& s) { s.encoder->setThreadgroupMemoryLength(20, 0); }},
    {"a buffer that is too short",
     [](Session& s) {
         s.bind();
         s.encoder->setBuffer(s.buffer, 14, 0);
         s.dispatch();
     }},
    {"an offset past the end", [](Session& s) { s.encoder->setBuffer(s.buffer, 16, 0); }},
    {"setBytes of 5000 bytes",
     [](Session& s) {
         static char bytes[5000];
         s.encoder->setBytes(bytes, sizeof bytes, 1);
     }},
    {"setBytes for a buffer that is written",
     [](Session& s) {
         float out[4] = {};
         s.bind();
         s.encoder->setBytes(out, sizeof out, 0);
         s.dispatch();
     }},
    {"buffer index 31", [](Session& s) { s.encoder->setBuffer(s.buffer, 0, 31); }},
    {"an empty buffer",
     [](Session& s) { s.device->newBuffer(NS::UInteger{0}, MTL::ResourceStorageModeShared); }},
    {"no-copy of unaligned memory",
     [](Session& s) {
         alignas(16) static char memory[16];
         s.device->newBuffer(memory, sizeof memory, MTL::ResourceStorageModeShared, nullptr);
     }},
    {"a buffer released before its command buffer ran",
     [](Session& s) {
         auto* unretained = s.queue->commandBufferWithUnretainedReferences();
         s.encoder->endEncoding();
         s.encoder = unretained->computeCommandEncoder();
         s.bind();
         s.dispatch();
         s.encoder->endEncoding();
         s.buffer->release();
         unretained->commit();
         unretained->waitUntilCompleted();
     }},
};

} // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        for (auto& [name, action] : actions)
            std::puts(name.c_str());
        return 2;
    }
    auto engine = small_engine();
    metal_double_set_engine(&engine);
    Session session;
    actions.at(arguments[1])(session);
    return 0;
}
