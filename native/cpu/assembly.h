#pragma once

// What the functions written in assembly share: how one begins, and how it keeps its caller's
// registers on the stack.

#ifdef __APPLE__
#define PYMETAL_SYMBOL(name) "_" #name
#define PYMETAL_HIDDEN(name) ".private_extern _" #name "\n"
#else
#define PYMETAL_SYMBOL(name) #name
#define PYMETAL_HIDDEN(name) ".hidden " #name "\n"
#endif

#define PYMETAL_FUNCTION(name)                                                                     \
    ".text\n.globl " PYMETAL_SYMBOL(name) "\n" PYMETAL_HIDDEN(name) ".p2align 4\n" PYMETAL_SYMBOL( \
        name) ":\n"

#if defined(__x86_64__)
// System V ABI: rbp rbx r12-r15 are the callee's; rsp is 16-byte aligned at each call.
#define PYMETAL_PUSH_CALLEE_SAVED                                                                  \
    "  pushq %rbp\n"                                                                               \
    "  pushq %rbx\n"                                                                               \
    "  pushq %r12\n"                                                                               \
    "  pushq %r13\n"                                                                               \
    "  pushq %r14\n"                                                                               \
    "  pushq %r15\n"
#define PYMETAL_POP_CALLEE_SAVED                                                                   \
    "  popq %r15\n"                                                                                \
    "  popq %r14\n"                                                                                \
    "  popq %r13\n"                                                                                \
    "  popq %r12\n"                                                                                \
    "  popq %rbx\n"                                                                                \
    "  popq %rbp\n"
#elif defined(__aarch64__)
// AAPCS64: x19-x28, the frame record x29 x30, and the low halves of v8-v15 are the callee's.
#define PYMETAL_PUSH_CALLEE_SAVED                                                                  \
    "  stp x19, x20, [sp, #-160]!\n"                                                               \
    "  stp x21, x22, [sp, #16]\n"                                                                  \
    "  stp x23, x24, [sp, #32]\n"                                                                  \
    "  stp x25, x26, [sp, #48]\n"                                                                  \
    "  stp x27, x28, [sp, #64]\n"                                                                  \
    "  stp x29, x30, [sp, #80]\n"                                                                  \
    "  stp d8, d9, [sp, #96]\n"                                                                    \
    "  stp d10, d11, [sp, #112]\n"                                                                 \
    "  stp d12, d13, [sp, #128]\n"                                                                 \
    "  stp d14, d15, [sp, #144]\n"
#define PYMETAL_POP_CALLEE_SAVED                                                                   \
    "  ldp x21, x22, [sp, #16]\n"                                                                  \
    "  ldp x23, x24, [sp, #32]\n"                                                                  \
    "  ldp x25, x26, [sp, #48]\n"                                                                  \
    "  ldp x27, x28, [sp, #64]\n"                                                                  \
    "  ldp x29, x30, [sp, #80]\n"                                                                  \
    "  ldp d8, d9, [sp, #96]\n"                                                                    \
    "  ldp d10, d11, [sp, #112]\n"                                                                 \
    "  ldp d12, d13, [sp, #128]\n"                                                                 \
    "  ldp d14, d15, [sp, #144]\n"                                                                 \
    "  ldp x19, x20, [sp], #160\n"
#else
#error "fibers and guards are written for x86-64 and aarch64"
#endif
