// A strict miniature Objective-C runtime: enough for metal-cpp, and merciless about misuse.
//
// A class is a table of selectors, each a typed lambda; a message to anything that is not alive, or
// that does not know the selector, aborts with its name. Objects are counted, poisoned when they
// die, and listed when they outlive the process.
#pragma once
#include <objc/runtime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace metal_double {

// Prints "metal double: ..." and aborts.
[[noreturn]] void misuse(const char* format, ...) __attribute__((format(printf, 1, 2)));

struct Object : objc_object {
    static inline objc_class* klass;
    std::atomic<int32_t> references{1};
    uint32_t serial = 0;
    Object() { isa = nullptr; }
};

using Method = void (*)();
struct Entry {
    Method method;
    int since; // macOS version that brought it
};

} // namespace metal_double

// The name is the runtime's; `isa` of a class is its metaclass, which holds the class methods.
struct objc_class : metal_double::Object {
    const char* name = "";
    objc_class* parent = nullptr;
    bool is_meta = false;
    bool is_dead = false; // the class of deallocated objects
    objc_class* dead = nullptr;
    size_t size = 0;
    metal_double::Object* (*create)() = nullptr;
    void (*destroy)(metal_double::Object*) = nullptr;
    std::unordered_map<SEL, metal_double::Entry> methods;

    metal_double::Method find(SEL selector) const;
};

namespace metal_double {

int os_major();
objc_class* new_class(const char* name, objc_class* parent);
void register_object(Object*);

Object* retain(Object*);
void release(Object*);
Object* autorelease(Object*);
bool is_alive(const Object*);

// A new object of class T with one reference, which the caller owns.
template <class T, class... Arguments>
T* make(Arguments&&... arguments) {
    auto* object = new T(std::forward<Arguments>(arguments)...);
    object->isa = T::klass;
    register_object(object);
    return object;
}

template <class T>
T* retained(T* object) {
    return static_cast<T*>(retain(object));
}

template <class T>
T* autoreleased(T* object) {
    return static_cast<T*>(autorelease(object));
}

// A strong reference held by another object of the double.
template <class T>
class Ref {
  public:
    Ref() = default;
    Ref(T* object) : object_(retained(object)) {}
    Ref(const Ref& other) : Ref(other.object_) {}
    Ref& operator=(const Ref& other) {
        T* old = std::exchange(object_, retained(other.object_));
        if (old)
            release(old);
        return *this;
    }
    ~Ref() {
        if (object_)
            release(object_);
    }
    T* get() const { return object_; }
    T* operator->() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }

    // Takes over the reference that `make` gave.
    static Ref adopt(T* object) {
        Ref ref;
        ref.object_ = object;
        return ref;
    }

  private:
    T* object_ = nullptr;
};

namespace detail {
template <class Lambda>
struct Thunk;

template <class Lambda, class Result, class Self, class... Arguments>
struct Thunk<Result (Lambda::*)(Self*, Arguments...) const> {
    static constexpr size_t count = sizeof...(Arguments);
    static Result call(Self* self, SEL, Arguments... arguments) {
        return Lambda{}(self, arguments...);
    }
};
} // namespace detail

// Fills a class: `Class<Buffer>("MTLBuffer").on("length", [](Buffer* b) { return b->size; });`
template <class T>
class Class {
  public:
    explicit Class(const char* name, const char* parent = "NSObject")
        : class_(new_class(name, *parent ? objc_lookUpClass(parent) : nullptr)) {
        T::klass = class_;
        class_->size = sizeof(T);
        class_->destroy = [](Object* object) { static_cast<T*>(object)->~T(); };
    }

    // Adds to a class that is there already.
    static Class extend() { return Class(T::klass); }

    // `alloc` works: the class is one that programs create.
    Class& concrete() {
        class_->create = []() -> Object* { return make<T>(); };
        return *this;
    }
    // Methods from here on came with macOS `major`.
    Class& since(int major) {
        since_ = major;
        return *this;
    }
    template <class Lambda>
    Class& on(const char* selector, Lambda) {
        add<Lambda>(class_, selector);
        return *this;
    }
    template <class Lambda>
    Class& on_class(const char* selector, Lambda) {
        add<Lambda>(class_->isa, selector);
        return *this;
    }
    objc_class* get() const { return class_; }

  private:
    explicit Class(objc_class* existing) : class_(existing) {}

    template <class Lambda>
    void add(objc_class* table, const char* selector) {
        using Thunk = detail::Thunk<decltype(&Lambda::operator())>;
        size_t colons = 0;
        for (char c : std::string_view(selector))
            colons += c == ':';
        if (colons != Thunk::count)
            misuse("[%s %s] has %zu colons but %zu arguments", class_->name, selector, colons,
                   Thunk::count);
        table->methods[sel_registerName(selector)] = {reinterpret_cast<Method>(&Thunk::call),
                                                      since_};
    }

    objc_class* class_;
    int since_ = 0;
};

// Blocks, by the ABI that clang emits.
void* copy_block(const void* block);
void release_block(const void* block);

template <class... Arguments>
void call_block(const void* block, Arguments... arguments) {
    auto* invoke = static_cast<void* const*>(block)[2];
    reinterpret_cast<void (*)(const void*, Arguments...)>(invoke)(block, arguments...);
}

// A copied block, released with its owner.
class Block {
  public:
    explicit Block(const void* block) : block_(copy_block(block)) {}
    Block(Block&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    Block& operator=(Block&&) = delete;
    ~Block() { release_block(block_); }
    const void* get() const { return block_; }

  private:
    void* block_;
};

// A pool around what the system's own threads do.
class SystemPool {
  public:
    SystemPool();
    ~SystemPool();
    SystemPool(const SystemPool&) = delete;

  private:
    void* token_;
};

void define_foundation();
void define_metal();

} // namespace metal_double
