// Blocks, by the ABI that clang emits (Clang documentation, "Block Implementation Specification").
#include <cstdlib>
#include <cstring>

#include "runtime.hpp"

namespace metal_double {

namespace {

enum Flags : int {
    reference_mask = 0xffff,
    is_on_heap = 1 << 24,
    has_helpers = 1 << 25,
    is_global = 1 << 28,
};
enum Kind : int { kind_block = 7, kind_byref = 8 };

struct Descriptor {
    unsigned long reserved, size;
    void (*copy)(void*, const void*);
    void (*dispose)(const void*);
};
struct Literal {
    void* isa;
    int flags, reserved;
    void* invoke;
    Descriptor* descriptor;
};
struct ByRef { // a __block variable
    void* isa;
    ByRef* forwarding;
    int flags, size;
    void (*keep)(void*, void*);
    void (*destroy)(void*);
};

} // namespace

void* copy_block(const void* block) {
    auto* literal = static_cast<Literal*>(const_cast<void*>(block));
    if (!literal || literal->flags & is_global)
        return literal;
    if (literal->flags & is_on_heap) {
        ++literal->flags;
        return literal;
    }
    auto* copy = static_cast<Literal*>(std::malloc(literal->descriptor->size));
    std::memcpy(copy, literal, literal->descriptor->size);
    copy->flags = (literal->flags & ~reference_mask) | is_on_heap | 1;
    if (literal->flags & has_helpers)
        literal->descriptor->copy(copy, literal);
    return copy;
}

void release_block(const void* block) {
    auto* literal = static_cast<Literal*>(const_cast<void*>(block));
    if (!literal || !(literal->flags & is_on_heap))
        return;
    if ((--literal->flags & reference_mask) != 0)
        return;
    if (literal->flags & has_helpers)
        literal->descriptor->dispose(literal);
    std::free(literal);
}

extern "C" {

void* _NSConcreteStackBlock[32];
void* _NSConcreteGlobalBlock[32];

void* _Block_copy(const void* block) {
    return copy_block(block);
}
void _Block_release(const void* block) {
    release_block(block);
}

void _Block_object_assign(void* destination, const void* source, int kind) {
    auto** slot = static_cast<void**>(destination);
    auto* value = const_cast<void*>(source);
    if (kind & kind_byref) {
        auto* variable = static_cast<ByRef*>(value)->forwarding;
        if (variable->flags & is_on_heap) {
            ++variable->flags;
        } else {
            auto* copy = static_cast<ByRef*>(std::malloc(static_cast<size_t>(variable->size)));
            std::memcpy(copy, variable, static_cast<size_t>(variable->size));
            copy->flags = (variable->flags & ~reference_mask) | is_on_heap | 2;
            copy->forwarding = variable->forwarding = copy;
            if (variable->flags & has_helpers)
                variable->keep(copy, variable);
            variable = copy;
        }
        *slot = variable;
    } else if (kind == kind_block) {
        *slot = copy_block(value);
    } else {
        *slot = retain(static_cast<Object*>(value));
    }
}

void _Block_object_dispose(const void* pointer, int kind) {
    auto* value = const_cast<void*>(pointer);
    if (kind & kind_byref) {
        auto* variable = static_cast<ByRef*>(value)->forwarding;
        if (!(variable->flags & is_on_heap) || (--variable->flags & reference_mask) != 0)
            return;
        if (variable->flags & has_helpers)
            variable->destroy(variable);
        std::free(variable);
    } else if (kind == kind_block) {
        release_block(value);
    } else {
        release(static_cast<Object*>(value));
    }
}
}

} // namespace metal_double
