// What tests may ask of the double: the engine behind its encoder, faults, counts. C only, so that
// Python reaches it through ctypes and nothing of C++ crosses a library boundary.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// One dispatch, ready to run. Buffers are indexed by buffer index; `memory` is null where unbound.
typedef struct {
    size_t grid[3];
    size_t threadgroup[3];
    struct {
        void* memory;
        size_t size;
    } buffers[31];
    size_t threadgroup_memory[31];
} metal_double_launch;

// What compiles and runs kernels. Each function returns a handle (or 0 for launch) and replies with
// lines of tab-separated text; a negative result is Metal's error code, with its text as the reply.
// engine.cpp describes the lines.
typedef struct {
    long (*library)(const void* data, size_t size, int is_metallib, const char* options,
                    void* reply);
    long (*pipeline)(long library, const char* function, const char* constants, void* reply);
    long (*launch)(long pipeline, const metal_double_launch* launch, void* reply);
    void (*drop)(long handle);
} metal_double_engine;

// Without an engine, the first need of one runs the Python file named by METAL_DOUBLE_ENGINE, which
// must set one.
void metal_double_set_engine(const metal_double_engine* engine);
void metal_double_reply(void* reply, const char* text, size_t size);

// Faults by name, `times` times each (faults.cpp lists them); "" forgets all of them.
void metal_double_fault(const char* name, long code, const char* text, int times);
// The macOS version the double is: methods that came later are unknown selectors. Default 26.
void metal_double_set_os(int major);
// Ends the command buffers that the fault "never completes" keeps, as if they had completed.
void metal_double_finish_stuck(void);

// Living objects, as lines "Class #serial (references)"; returns how many there are.
size_t metal_double_live_objects(char* lines, size_t capacity);
// Messages that the calling thread has sent, and their names since `trace` was last switched on.
uint64_t metal_double_messages(void);
// Command buffers committed so far.
uint64_t metal_double_command_buffers(void);
void metal_double_trace(int on);
size_t metal_double_trace_lines(char* lines, size_t capacity);

#ifdef __cplusplus
}
#endif
