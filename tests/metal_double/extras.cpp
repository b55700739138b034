// What not every launch needs: GPU capture, kernel logs and the Metal 4 compiler.
#include <sys/stat.h>

#include <cstdlib>

#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

namespace {

struct CaptureDescriptor : Object {
    static inline objc_class* klass;
    Ref<Object> object;
    Ref<Url> url;
    long destination = 1;
};
struct CaptureManager : Object {
    static inline objc_class* klass;
    bool is_capturing = false;
};
struct LogStateDescriptor : Object {
    static inline objc_class* klass;
};
struct CompilerDescriptor : Object {
    static inline objc_class* klass;
};
struct Compiler : Object {
    static inline objc_class* klass;
};
struct LibraryDescriptor : Object {
    static inline objc_class* klass;
    Ref<Object> source;
    Ref<CompileOptions> options;
};

constexpr long trace_document = 2;
constexpr long not_supported = 1, already_capturing = 2, invalid_descriptor = 3;

bool start_capture(CaptureManager* manager, CaptureDescriptor* descriptor, Object** error) {
    auto fail = [&](long code, const std::string& text) {
        set_error(error, "MTLCaptureError", code, text);
        return false;
    };
    if (auto fault = take_fault("capture"))
        return fail(fault->code, fault->text);
    if (!std::getenv("MTL_CAPTURE_ENABLED"))
        return fail(not_supported, "Capturing is not supported.");
    if (manager->is_capturing)
        return fail(already_capturing, "Already capturing.");
    if (!descriptor->object || !descriptor->url || descriptor->destination != trace_document)
        return fail(invalid_descriptor, "Invalid descriptor.");
    if (mkdir(descriptor->url->path.c_str(), 0777) != 0)
        return fail(invalid_descriptor, "Output file already exists.");
    return manager->is_capturing = true;
}

} // namespace

void define_capture() {
    Class<CaptureDescriptor>("MTLCaptureDescriptor")
        .concrete()
        .on("setCaptureObject:",
            [](CaptureDescriptor* descriptor, Object* object) { descriptor->object = object; })
        .on("setDestination:", [](CaptureDescriptor* descriptor,
                                  long destination) { descriptor->destination = destination; })
        .on("setOutputURL:", [](CaptureDescriptor* descriptor, Object* url) {
            descriptor->url = expect<Url>(url, "setOutputURL:");
        });
    Class<CaptureManager>("MTLCaptureManager")
        .on_class("sharedCaptureManager",
                  [](Object*) {
                      static auto* manager = [] {
                          auto* object = new CaptureManager;
                          object->isa = CaptureManager::klass;
                          return object;
                      }();
                      return manager;
                  })
        .on("supportsDestination:",
            [](CaptureManager*, long destination) {
                return destination != trace_document || std::getenv("MTL_CAPTURE_ENABLED");
            })
        .on("isCapturing", [](CaptureManager* manager) { return manager->is_capturing; })
        .on("startCaptureWithDescriptor:error:",
            [](CaptureManager* manager, Object* descriptor, Object** error) {
                return start_capture(manager,
                                     expect<CaptureDescriptor>(descriptor, "startCapture:"), error);
            })
        .on("stopCapture", [](CaptureManager* manager) {
            if (!manager->is_capturing)
                misuse("[MTLCaptureManager stopCapture] without a capture");
            manager->is_capturing = false;
        });
}

// Handlers run on a thread of the system's, before the command buffer completes.
void log_messages(LogState* log) {
    auto fault = take_fault("log");
    if (!fault)
        return;
    SystemPool pool;
    auto* subsystem = autoreleased(new_string("com.example.kernels"));
    auto* category = autoreleased(new_string("double"));
    auto* message = autoreleased(new_string(fault->text));
    for (auto& handler : log->handlers)
        call_block(handler.get(), static_cast<Object*>(subsystem), static_cast<Object*>(category),
                   fault->code, static_cast<Object*>(message));
}

void define_logs() {
    Class<LogStateDescriptor>("MTLLogStateDescriptor")
        .concrete()
        .since(15)
        .on("setLevel:", [](LogStateDescriptor*, long) {})
        .on("setBufferSize:", [](LogStateDescriptor*, long size) {
            if (size < 1024)
                misuse("setBufferSize: %ld; Metal takes 1024 and more", size);
        });
    Class<LogState>("MTLLogState").on("addLogHandler:", [](LogState* log, const void* block) {
        log->handlers.emplace_back(block);
    });
}

void define_metal4() {
    Class<Device>::extend()
        .since(15)
        .on("newLogStateWithDescriptor:error:",
            [](Device*, Object* descriptor, Object**) {
                expect<LogStateDescriptor>(descriptor, "newLogStateWithDescriptor:");
                return make<LogState>();
            })
        .since(26)
        .on("newCompilerWithDescriptor:error:", [](Device*, Object* descriptor, Object**) {
            expect<CompilerDescriptor>(descriptor, "newCompilerWithDescriptor:");
            return make<Compiler>();
        });
    Class<CompilerDescriptor>("MTL4CompilerDescriptor").concrete();
    Class<LibraryDescriptor>("MTL4LibraryDescriptor")
        .concrete()
        .on("setSource:",
            [](LibraryDescriptor* descriptor, Object* source) { descriptor->source = source; })
        .on("setOptions:", [](LibraryDescriptor* descriptor, Object* options) {
            descriptor->options = expect<CompileOptions>(options, "setOptions:");
        });
    Class<Compiler>("MTL4Compiler")
        .on("newLibraryWithDescriptor:error:", [](Compiler*, Object* object, Object** error) {
            auto* descriptor = expect<LibraryDescriptor>(object, "newLibraryWithDescriptor:");
            return new_library(text_of(descriptor->source.get()), false, descriptor->options.get(),
                               error);
        });
}

} // namespace metal_double
