// Classes, reference counts, deallocated objects and the leak report.
#include "runtime.hpp"

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <unordered_set>

#include "control.h"

namespace metal_double {

objc_class* constant_string_class();
void forget_cached_methods();

namespace {

// Deallocated objects stay poisoned for this many further deallocations before their memory goes
// back, so that a use after release is seen and memory stays flat.
constexpr size_t kept_dead_objects = 2000;

struct State {
    std::recursive_mutex mutex;
    std::unordered_map<std::string, objc_class*> classes;
    std::set<std::string, std::less<>> selectors;
    std::unordered_set<Object*> living;
    std::deque<Object*> dead;
    uint32_t serial = 0;
    bool defined = false;
};

State& state() {
    static auto* instance = new State; // outlives every static destructor
    return *instance;
}

std::atomic<int> os_version{26};

bool is_immortal(const Object* object) {
    return object->isa == constant_string_class() || object->isa->is_meta;
}

void check_alive(const Object* object, const char* message) {
    if (object->isa->is_dead)
        misuse("[%s %s] sent to deallocated object #%u", object->isa->name, message,
               object->serial);
}

void report_leaks() {
    if (!std::getenv("METAL_DOUBLE_LEAKS"))
        return;
    // A queue's thread may just be letting go of its last command buffer.
    for (int i = 0; i < 50 && metal_double_live_objects(nullptr, 0); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::lock_guard lock(state().mutex);
    for (auto* object : state().living)
        std::fprintf(stderr, "metal double: leak: %s #%u (%d references)\n", object->isa->name,
                     object->serial, object->references.load());
    std::fprintf(stderr, "metal double: %zu objects leaked\n", state().living.size());
}

void define_classes() {
    if (state().defined)
        return;
    state().defined = true;
    define_foundation();
    define_metal();
    std::atexit(report_leaks);
}

objc_class* dead_class(objc_class* of) {
    if (!of->dead) {
        of->dead = new objc_class;
        of->dead->name = of->name;
        of->dead->is_dead = true;
    }
    return of->dead;
}

void deallocate(Object* object) {
    auto* its_class = object->isa;
    its_class->destroy(object);
    std::lock_guard lock(state().mutex);
    state().living.erase(object);
    std::memset(reinterpret_cast<char*>(object) + sizeof(Object), 0xDD,
                its_class->size - sizeof(Object));
    object->isa = dead_class(its_class);
    state().dead.push_back(object);
    if (state().dead.size() > kept_dead_objects) {
        ::operator delete(state().dead.front());
        state().dead.pop_front();
    }
}

} // namespace

void misuse(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::fputs("metal double: ", stderr);
    std::vfprintf(stderr, format, arguments);
    std::fputc('\n', stderr);
    std::fflush(stderr);
    std::abort();
}

int os_major() {
    return os_version.load(std::memory_order_relaxed);
}

objc_class* new_class(const char* name, objc_class* parent) {
    bool constant = std::string_view(name) == "__NSCFConstantString";
    auto* result = constant ? constant_string_class() : new objc_class;
    auto* meta = new objc_class;
    result->name = meta->name = name;
    result->isa = meta;
    result->parent = parent;
    meta->isa = meta;
    meta->is_meta = true;
    // The root metaclass inherits from the root class, as in Objective-C.
    meta->parent = parent ? parent->isa : result;
    state().classes[name] = result;
    return result;
}

void register_object(Object* object) {
    std::lock_guard lock(state().mutex);
    object->serial = ++state().serial;
    state().living.insert(object);
}

bool is_alive(const Object* object) {
    return object && !object->isa->is_dead;
}

Object* retain(Object* object) {
    if (!object)
        return nullptr;
    check_alive(object, "retain");
    if (!is_immortal(object))
        object->references.fetch_add(1, std::memory_order_relaxed);
    return object;
}

void release(Object* object) {
    if (!object)
        return;
    check_alive(object, "release");
    if (is_immortal(object))
        return;
    if (object->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
        deallocate(object);
}

} // namespace metal_double

using metal_double::state;

metal_double::Method objc_class::find(SEL selector) const {
    for (auto* table = this; table; table = table->parent)
        if (auto found = table->methods.find(selector); found != table->methods.end())
            return found->second.since <= metal_double::os_major() ? found->second.method : nullptr;
    return nullptr;
}

// A constant string's `isa` is the address of this symbol.
extern "C" {
alignas(objc_class) char __CFConstantStringClassReference[sizeof(objc_class)];
}

namespace metal_double {
objc_class* constant_string_class() {
    static auto* instance = new (__CFConstantStringClassReference) objc_class;
    return instance;
}
} // namespace metal_double

extern "C" {

SEL sel_registerName(const char* name) {
    std::lock_guard lock(state().mutex);
    auto& kept = *state().selectors.insert(name).first;
    return reinterpret_cast<SEL>(const_cast<char*>(kept.c_str()));
}

Class objc_lookUpClass(const char* name) {
    std::lock_guard lock(state().mutex);
    metal_double::define_classes();
    auto found = state().classes.find(name);
    return found == state().classes.end() ? nullptr : found->second;
}

Protocol* objc_getProtocol(const char*) {
    return nullptr;
}

size_t metal_double_live_objects(char* lines, size_t capacity) {
    std::lock_guard lock(state().mutex);
    std::string text;
    for (auto* object : state().living)
        text += std::string(object->isa->name) + " #" + std::to_string(object->serial) + " (" +
                std::to_string(object->references.load()) + ")\n";
    if (lines && capacity) {
        size_t size = text.copy(lines, capacity - 1);
        lines[size] = '\0';
    }
    return state().living.size();
}

void metal_double_set_os(int major) {
    metal_double::os_version = major;
    metal_double::forget_cached_methods();
}
}
