// Foundation: strings, arrays, dictionaries, numbers, errors, URLs and the process's OS version.
#include "foundation.hpp"

#include <algorithm>

#include "faults.hpp"

namespace metal_double {

void define_pools();
objc_class* constant_string_class();

namespace {

// What clang emits for a constant string.
struct ConstantString {
    objc_class* isa;
    long flags;
    const char* characters;
    long length;
};

struct Root : Object {
    static inline objc_class* klass;
};
struct Enumerator : Object {
    static inline objc_class* klass;
    Ref<Array> items;
};
struct ProcessInfo : Object {
    static inline objc_class* klass;
};
struct Version {
    long major, minor, patch;
};

// What programs are told, which depends on the SDK that they were made with.
int told_major() {
    return os_major() == 26 && take_fault("old SDK") ? 16 : os_major();
}

constexpr unsigned long utf8 = 4, ascii = 1;

void check_encoding(unsigned long encoding) {
    if (encoding != utf8 && encoding != ascii)
        misuse("NSString encoding %lu; only ASCII and UTF-8 are known", encoding);
}

const char* characters_of(Object* string) {
    if (string->isa == constant_string_class())
        return reinterpret_cast<ConstantString*>(string)->characters;
    return static_cast<String*>(string)->text.c_str();
}

String* described(Object* object) {
    return autoreleased(new_string("<" + std::string(object->isa->name) + " #" +
                                   std::to_string(object->serial) + ">"));
}

Object* value_for(Dictionary* dictionary, const std::string& key) {
    for (auto& [name, value] : dictionary->items)
        if (text_of(name.get()) == key)
            return value.get();
    return nullptr;
}

Dictionary* filled(Dictionary* dictionary, Object** values, Object** keys, unsigned long count) {
    for (unsigned long i = 0; i < count; ++i)
        dictionary->items.emplace_back(expect<Object>(keys[i], "dictionary key"),
                                       expect<Object>(values[i], "dictionary value"));
    return dictionary;
}

void define_root() {
    Class<Root>("NSObject", "")
        .concrete()
        .on_class("alloc",
                  [](objc_class* its_class) -> Object* {
                      if (!its_class->create)
                          misuse("+[%s alloc]: the system makes these", its_class->name);
                      return its_class->create();
                  })
        .on_class("class", [](Object* its_class) { return its_class; })
        .on("init", [](Object* object) { return object; })
        .on("retain", [](Object* object) { return retain(object); })
        .on("release", [](Object* object) { release(object); })
        .on("autorelease", [](Object* object) { return autorelease(object); })
        .on("retainCount",
            [](Object* object) -> unsigned long {
                return static_cast<unsigned long>(object->references.load());
            })
        .on("hash", [](Object* object) { return reinterpret_cast<unsigned long>(object); })
        .on("isEqual:", [](Object* left, Object* right) { return left == right; })
        .on("respondsToSelector:",
            [](Object* object, SEL selector) { return object->isa->find(selector) != nullptr; })
        .on("methodSignatureForSelector:", [](Object*, SEL) -> void* { return nullptr; })
        .on("description", [](Object* object) { return described(object); })
        .on("debugDescription", [](Object* object) { return described(object); });
    Object::klass = Root::klass;
}

void define_strings() {
    Class<String>("NSString")
        .concrete()
        .on_class("string", [](Object*) { return autoreleased(new_string("")); })
        .on_class("stringWithString:",
                  [](Object*, Object* other) { return autoreleased(new_string(text_of(other))); })
        .on_class("stringWithCString:encoding:",
                  [](Object*, const char* characters, unsigned long encoding) {
                      check_encoding(encoding);
                      return autoreleased(new_string(characters));
                  })
        .on("initWithCString:encoding:",
            [](String* string, const char* characters, unsigned long encoding) {
                check_encoding(encoding);
                string->text = characters;
                return string;
            })
        .on("UTF8String", [](Object* string) { return characters_of(string); })
        .on("cStringUsingEncoding:",
            [](Object* string, unsigned long encoding) {
                check_encoding(encoding);
                return characters_of(string);
            })
        .on("length", [](Object* string) -> unsigned long { return text_of(string).size(); })
        .on("lengthOfBytesUsingEncoding:",
            [](Object* string, unsigned long) -> unsigned long { return text_of(string).size(); })
        .on("isEqualToString:",
            [](Object* left, Object* right) { return text_of(left) == text_of(right); })
        .on("isEqual:", [](Object* left, Object* right) { return text_of(left) == text_of(right); })
        .on("hash",
            [](Object* string) -> unsigned long {
                return std::hash<std::string>{}(text_of(string));
            })
        .on("description", [](Object* string) { return autoreleased(new_string(text_of(string))); })
        .on("copy", [](Object* string) { return retain(string); });
    new_class("__NSCFConstantString", String::klass);
}

void define_collections() {
    Class<Array>("NSArray")
        .concrete()
        .on("count", [](Array* array) -> unsigned long { return array->items.size(); })
        .on("objectAtIndex:", [](Array* array, unsigned long index) -> Object* {
            if (index >= array->items.size())
                misuse("[NSArray objectAtIndex:]: index %lu of %zu", index, array->items.size());
            return array->items[index].get();
        });
    Class<Dictionary>("NSDictionary")
        .concrete()
        .on_class("dictionary", [](Object*) { return autoreleased(make<Dictionary>()); })
        .on_class("dictionaryWithObjects:forKeys:count:",
                  [](Object*, Object** values, Object** keys, unsigned long count) {
                      return filled(autoreleased(make<Dictionary>()), values, keys, count);
                  })
        .on("initWithObjects:forKeys:count:",
            [](Dictionary* dictionary, Object** values, Object** keys, unsigned long count) {
                return filled(dictionary, values, keys, count);
            })
        .on("objectForKey:",
            [](Dictionary* dictionary, Object* key) { return value_for(dictionary, text_of(key)); })
        .on("count",
            [](Dictionary* dictionary) -> unsigned long { return dictionary->items.size(); })
        .on("keyEnumerator", [](Dictionary* dictionary) {
            std::vector<Object*> keys;
            for (auto& [key, value] : dictionary->items)
                keys.push_back(retain(key.get()));
            auto* enumerator = autoreleased(make<Enumerator>());
            enumerator->items = Ref<Array>::adopt(new_array(keys));
            return enumerator;
        });
    Class<Enumerator>("NSEnumerator").on("allObjects", [](Enumerator* enumerator) {
        return enumerator->items.get();
    });
}

void define_errors() {
    Class<Error>("NSError")
        .on("domain", [](Error* error) { return error->domain.get(); })
        .on("code", [](Error* error) { return error->code; })
        .on("userInfo", [](Error* error) { return error->information.get(); })
        .on("localizedDescription", [](Error* error) -> Object* {
            return value_for(error->information.get(), "NSLocalizedDescription");
        });
}

} // namespace

std::string text_of(const Object* string) {
    if (!string)
        misuse("an NSString argument is nil");
    if (string->isa == constant_string_class()) {
        auto* constant = reinterpret_cast<const ConstantString*>(string);
        return {constant->characters, static_cast<size_t>(constant->length)};
    }
    return expect<String>(const_cast<Object*>(string), "NSString argument")->text;
}

String* new_string(std::string text) {
    return make<String>(std::move(text));
}

Array* new_array(std::vector<Object*> items) {
    auto* array = make<Array>();
    for (auto* item : items)
        array->items.push_back(Ref<Object>::adopt(item));
    return array;
}

Error* new_error(const std::string& domain, long code, const std::string& text) {
    auto* error = make<Error>();
    error->domain = Ref<Object>::adopt(new_string(domain));
    error->code = code;
    error->information = Ref<Dictionary>::adopt(make<Dictionary>());
    error->information->items.emplace_back(Ref<Object>::adopt(new_string("NSLocalizedDescription")),
                                           Ref<Object>::adopt(new_string(text)));
    return error;
}

void set_error(Object** error, const char* domain, long code, const std::string& text) {
    if (error)
        *error = autoreleased(new_error(domain, code, text));
}

void define_foundation() {
    define_root();
    define_pools();
    define_strings();
    define_collections();
    define_errors();
    Class<Url>("NSURL")
        .concrete()
        .on_class("fileURLWithPath:",
                  [](Object*, Object* path) {
                      auto* url = autoreleased(make<Url>());
                      url->path = text_of(path);
                      return url;
                  })
        .on("fileSystemRepresentation", [](Url* url) { return url->path.c_str(); });
    Class<Number>("NSNumber").on("doubleValue", [](Number* number) { return number->value; });
    Class<ProcessInfo>("NSProcessInfo")
        .on_class("processInfo",
                  [](Object*) {
                      static auto* info = [] {
                          auto* object = new ProcessInfo;
                          object->isa = ProcessInfo::klass;
                          return object;
                      }();
                      return info;
                  })
        .on("operatingSystemVersion", [](ProcessInfo*) { return Version{told_major(), 0, 0}; })
        .on("isOperatingSystemAtLeastVersion:",
            [](ProcessInfo*, Version version) { return told_major() >= version.major; });
}

} // namespace metal_double
