// metal-cpp, and what every file of the Metal device uses with it. Only native/metal includes this.
#pragma once

#define METALCPP_SYMBOL_VISIBILITY_HIDDEN
#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>

#include <array>
#include <string>
#include <utility>

#include "metal/metal.h"

// The Objective-C runtime's own pool functions (Clang, "Objective-C Automatic Reference Counting",
// 7.6): a pool for two calls instead of the three messages of NSAutoreleasePool.
extern "C" void* objc_autoreleasePoolPush();
extern "C" void objc_autoreleasePoolPop(void*);

namespace pymetal::metal {

// Metal hands out autoreleased objects; every entry from outside runs inside one of these.
class AutoreleasePool {
  public:
    AutoreleasePool() : token_(objc_autoreleasePoolPush()) {}
    ~AutoreleasePool() { objc_autoreleasePoolPop(token_); }
    AutoreleasePool(const AutoreleasePool&) = delete;
    AutoreleasePool& operator=(const AutoreleasePool&) = delete;

  private:
    void* token_;
};

// An object this side owns: what `new…`, `alloc` and `copy` return. Not NS::SharedPtr, which calls
// `release` on null as well: undefined in C++, and clang drops the error paths that follow from it.
template <class T>
class Owned {
  public:
    Owned() = default;
    explicit Owned(T* object) : object_(object) {}
    Owned(Owned&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Owned& operator=(Owned&& other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Owned() {
        if (object_)
            object_->release();
    }
    T* get() const { return object_; }
    T* operator->() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }

  private:
    T* object_ = nullptr;
};

template <class T>
Owned<T> owned(T* object) {
    return Owned<T>(object);
}

// Autoreleased, or constant where `text` lives: for use inside a pool.
inline NS::String* ns_string(const std::string& text) {
    return NS::String::string(text.c_str(), NS::UTF8StringEncoding);
}

inline std::string std_string(const NS::String* text) {
    return text ? std::string(text->utf8String()) : std::string();
}

// The Failure that Metal's error describes, or one with `fallback` where Metal gave none.
Failure failure(std::string stage, const NS::Error* error, const std::string& fallback);

// Major, minor and patch number of macOS.
std::array<long, 3> os_version();
bool os_at_least(long major);

// MTLDataType by MSL name and back: "float4" and MTL::DataTypeFloat4. "" where there is no name.
std::string type_name(MTL::DataType type);
MTL::DataType data_type(const std::string& name);

} // namespace pymetal::metal
