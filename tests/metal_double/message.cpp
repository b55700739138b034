// objc_msgSend: keep the arguments, find the method, jump to it.
//
// The argument registers are saved around the look-up and the method is entered by a jump, so that
// it sees exactly the call its sender made, whatever its types. A message costs about 4 ns.
#include <cstring>

#include "control.h"
#include "runtime.hpp"

#if !defined(__x86_64__)
#error "the double's objc_msgSend is written for x86-64"
#endif

namespace metal_double {

namespace {

struct Cached {
    objc_class* of;
    SEL selector;
    unsigned epoch;
    Method method;
};
constexpr size_t cache_size = 512;

std::atomic<unsigned> epoch{1};
thread_local Cached cache[cache_size];
thread_local uint64_t messages = 0;
thread_local bool tracing = false;
thread_local std::string* trace = nullptr;

const char* name_of(SEL selector) {
    return reinterpret_cast<const char*>(selector);
}

void note(const objc_class* its_class, SEL selector) {
    if (!trace)
        trace = new std::string;
    *trace += std::string(1, its_class->is_meta ? '+' : '-') + "[" + its_class->name + " " +
              name_of(selector) + "]\n";
}

} // namespace

void forget_cached_methods() {
    ++epoch;
}

extern "C" {

void metal_double_nil();

Method metal_double_find(Object* object, SEL selector) {
    ++messages;
    if (!object)
        return metal_double_nil;
    auto* its_class = object->isa;
    if (tracing)
        note(its_class, selector);
    auto hash =
        (reinterpret_cast<uintptr_t>(its_class) ^ reinterpret_cast<uintptr_t>(selector)) >> 4;
    auto& slot = cache[hash % cache_size];
    unsigned now = epoch.load(std::memory_order_relaxed);
    if (slot.of == its_class && slot.selector == selector && slot.epoch == now)
        return slot.method;
    if (its_class->is_dead)
        misuse("[%s %s] sent to deallocated object #%u", its_class->name, name_of(selector),
               object->serial);
    if (auto method = its_class->find(selector)) {
        slot = {its_class, selector, now, method};
        return method;
    }
    misuse("%c[%s %s]: unknown selector on macOS %d", its_class->is_meta ? '+' : '-',
           its_class->name, name_of(selector), os_major());
}

Method metal_double_find_stret(Object* object, SEL selector) {
    if (!object)
        misuse("message %s, which returns a struct, sent to nil", name_of(selector));
    return metal_double_find(object, selector);
}

uint64_t metal_double_messages() {
    return messages;
}

void metal_double_trace(int on) {
    tracing = on;
    if (on && trace)
        trace->clear();
}

size_t metal_double_trace_lines(char* lines, size_t capacity) {
    if (!trace || !capacity)
        return 0;
    size_t size = trace->copy(lines, capacity - 1);
    lines[size] = '\0';
    return trace->size();
}
}

} // namespace metal_double

// clang-format off
#define KEEP_ARGUMENTS \
    "push %rbp\n mov %rsp, %rbp\n sub $0xc0, %rsp\n" \
    "movaps %xmm0, 0(%rsp)\n movaps %xmm1, 16(%rsp)\n movaps %xmm2, 32(%rsp)\n" \
    "movaps %xmm3, 48(%rsp)\n movaps %xmm4, 64(%rsp)\n movaps %xmm5, 80(%rsp)\n" \
    "movaps %xmm6, 96(%rsp)\n movaps %xmm7, 112(%rsp)\n" \
    "mov %rdi, 128(%rsp)\n mov %rsi, 136(%rsp)\n mov %rdx, 144(%rsp)\n" \
    "mov %rcx, 152(%rsp)\n mov %r8, 160(%rsp)\n mov %r9, 168(%rsp)\n mov %rax, 176(%rsp)\n"
#define RESTORE_AND_JUMP \
    "mov %rax, %r11\n" \
    "movaps 0(%rsp), %xmm0\n movaps 16(%rsp), %xmm1\n movaps 32(%rsp), %xmm2\n" \
    "movaps 48(%rsp), %xmm3\n movaps 64(%rsp), %xmm4\n movaps 80(%rsp), %xmm5\n" \
    "movaps 96(%rsp), %xmm6\n movaps 112(%rsp), %xmm7\n" \
    "mov 128(%rsp), %rdi\n mov 136(%rsp), %rsi\n mov 144(%rsp), %rdx\n" \
    "mov 152(%rsp), %rcx\n mov 160(%rsp), %r8\n mov 168(%rsp), %r9\n mov 176(%rsp), %rax\n" \
    "leave\n jmp *%r11\n"
#define FUNCTION(name) ".globl " #name "\n.type " #name ", @function\n"

// A struct in memory shifts the arguments by one: its address comes first.
asm(".text\n"
    FUNCTION(objc_msgSend) FUNCTION(objc_msgSend_fpret)
    "objc_msgSend:\nobjc_msgSend_fpret:\n"
    KEEP_ARGUMENTS "call metal_double_find@PLT\n" RESTORE_AND_JUMP
    FUNCTION(objc_msgSend_stret)
    "objc_msgSend_stret:\n"
    KEEP_ARGUMENTS
    "mov %rsi, %rdi\n mov %rdx, %rsi\n call metal_double_find_stret@PLT\n" RESTORE_AND_JUMP
    FUNCTION(metal_double_nil)
    "metal_double_nil:\n xor %eax, %eax\n xor %edx, %edx\n pxor %xmm0, %xmm0\n"
    "pxor %xmm1, %xmm1\n ret\n");
// clang-format on
