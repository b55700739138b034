// The Foundation objects that the Metal part of the double reads and makes.
#pragma once
#include <map>

#include "runtime.hpp"

namespace metal_double {

struct String : Object {
    static inline objc_class* klass;
    std::string text;
    explicit String(std::string value = {}) : text(std::move(value)) {}
};

struct Array : Object {
    static inline objc_class* klass;
    std::vector<Ref<Object>> items;
};

struct Dictionary : Object {
    static inline objc_class* klass;
    std::vector<std::pair<Ref<Object>, Ref<Object>>> items;
};

struct Error : Object {
    static inline objc_class* klass;
    Ref<Object> domain;
    long code = 0;
    Ref<Dictionary> information;
};

struct Number : Object {
    static inline objc_class* klass;
    double value = 0;
};

struct Url : Object {
    static inline objc_class* klass;
    std::string path;
};

// An NSString's characters, constant strings included; aborts on anything else.
std::string text_of(const Object* string);
String* new_string(std::string text);
// A new array that takes over one reference to each of `items`.
Array* new_array(std::vector<Object*> items);
Error* new_error(const std::string& domain, long code, const std::string& text);
// What a method with an NSError** argument does when it fails.
void set_error(Object** error, const char* domain, long code, const std::string& text);

// Aborts unless `object` is alive and of class T. `where` names the method and argument.
template <class T>
T* expect(Object* object, const char* where) {
    if (!object)
        misuse("%s must not be nil", where);
    if (object->isa->is_dead)
        misuse("%s is a deallocated %s", where, object->isa->name);
    for (auto* its_class = object->isa; its_class; its_class = its_class->parent)
        if (its_class == T::klass)
            return static_cast<T*>(object);
    misuse("%s must be a %s, not a %s", where, T::klass->name, object->isa->name);
}

} // namespace metal_double
