// MTLCompileOptions, MTLLibrary, MTLFunction, MTLFunctionConstantValues, and dispatch_data.
#include <cstring>

#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

namespace {

constexpr auto library_domain = "MTLLibraryErrorDomain";
constexpr long function_not_found = 5, compile_failure = 3;

struct FunctionConstant : Object {
    static inline objc_class* klass;
    ConstantInfo info;
};

std::string lines_of(const CompileOptions* options) {
    std::string lines;
    if (!options)
        return "math\tfast\n";
    lines += "math\t" + options->math + "\n";
    if (options->language_version)
        lines += "version\t" + std::to_string(options->language_version >> 16) + "\t" +
                 std::to_string(options->language_version & 0xffff) + "\n";
    if (options->logging)
        lines += "logging\t1\n";
    if (options->macros)
        for (auto& [name, value] : options->macros->items)
            lines += "macro\t" + text_of(name.get()) + "\t" + text_of(value.get()) + "\n";
    return lines;
}

void check_language_version(UInteger version) {
    constexpr UInteger v3_1 = 0x30001, v3_2 = 0x30002, v4_0 = 0x40000;
    UInteger newest = os_major() >= 26 ? v4_0 : os_major() >= 15 ? v3_2 : v3_1;
    if (version > newest)
        misuse("setLanguageVersion: %lu.%lu is not known to macOS %d", version >> 16,
               version & 0xffff, os_major());
}

const FunctionInfo* function_named(Library* library, const std::string& name) {
    for (auto& function : library->engine.functions)
        if (function.name == name)
            return &function;
    return nullptr;
}

Function* new_function(Library* library, const FunctionInfo* info) {
    auto* function = make<Function>();
    function->library = Ref<Library>(library);
    function->info = info;
    return function;
}

Object* specialize(Library* library, const std::string& name, ConstantValues* values,
                   Object** error) {
    auto* info = function_named(library, name);
    if (!info) {
        set_error(error, library_domain, function_not_found,
                  "Function " + name + " was not found in the library");
        return nullptr;
    }
    auto function = Ref<Function>::adopt(new_function(library, info));
    function->is_specialized = true;
    for (auto& constant : info->constants) {
        auto value = values->values.find(constant.index);
        if (value == values->values.end()) {
            if (!constant.required)
                continue;
            set_error(error, library_domain, compile_failure,
                      "function constant '" + constant.name + "' was not set");
            return nullptr;
        }
        if (value->second.first != constant.type)
            misuse("function constant '%s' has type %lu but was set as type %lu",
                   constant.name.c_str(), constant.type, value->second.first);
        function->constants += std::to_string(constant.index) + "\t";
        for (unsigned char byte : value->second.second) {
            constexpr auto digits = "0123456789abcdef";
            function->constants += {digits[byte >> 4], digits[byte & 15]};
        }
        function->constants += "\n";
    }
    return retain(function.get());
}

UInteger size_of_constant(UInteger type) {
    // First number of a scalar's run of four (scalar, 2, 3, 4), and the scalar's size.
    constexpr std::pair<UInteger, UInteger> runs[] = {{3, 4},  {16, 2}, {29, 4}, {33, 4},
                                                      {37, 2}, {41, 2}, {45, 1}, {49, 1},
                                                      {53, 1}, {81, 8}, {85, 8}, {121, 2}};
    for (auto [first, size] : runs)
        if (type >= first && type < first + 4) {
            auto count = type - first + 1;
            return size * (count == 3 ? 4 : count);
        }
    misuse("setConstantValue: type %lu is not a scalar or vector", type);
}

void define_options() {
    Class<CompileOptions>("MTLCompileOptions")
        .concrete()
        .on("setLanguageVersion:",
            [](CompileOptions* options, UInteger version) {
                check_language_version(version);
                options->language_version = version;
            })
        .on("setFastMathEnabled:",
            [](CompileOptions* options, bool fast) { options->math = fast ? "fast" : "safe"; })
        .on("setPreprocessorMacros:",
            [](CompileOptions* options, Object* macros) {
                options->macros = expect<Dictionary>(macros, "setPreprocessorMacros:");
            })
        .since(15)
        .on("setMathMode:",
            [](CompileOptions* options, long mode) {
                constexpr const char* names[] = {"safe", "relaxed", "fast"};
                if (mode < 0 || mode > 2)
                    misuse("setMathMode: %ld", mode);
                options->math = names[mode];
            })
        .on("setMathFloatingPointFunctions:", [](CompileOptions*, long) {})
        .on("setEnableLogging:",
            [](CompileOptions* options, bool enable) { options->logging = enable; });
}

void define_constants() {
    Class<FunctionConstant>("MTLFunctionConstant")
        .on("name",
            [](FunctionConstant* constant) {
                return autoreleased(new_string(constant->info.name));
            })
        .on("type", [](FunctionConstant* constant) { return constant->info.type; })
        .on("index", [](FunctionConstant* constant) { return constant->info.index; })
        .on("required", [](FunctionConstant* constant) { return constant->info.required; });
    Class<ConstantValues>("MTLFunctionConstantValues")
        .concrete()
        .on("setConstantValue:type:atIndex:",
            [](ConstantValues* values, const void* bytes, UInteger type, UInteger index) {
                values->values[index] = {
                    type, std::string(static_cast<const char*>(bytes), size_of_constant(type))};
            });
}

} // namespace

Object* new_library(const std::string& data, bool is_metallib, CompileOptions* options,
                    Object** error) {
    if (auto fault = take_fault("compile")) {
        set_error(error, library_domain, fault->code, fault->text);
        return nullptr;
    }
    try {
        auto* library = make<Library>();
        auto owned = Ref<Library>::adopt(library);
        library->engine = engine_library(data, is_metallib, lines_of(options));
        return retain(library);
    } catch (const EngineFailure& failure) {
        set_error(error, library_domain, failure.code, failure.text);
        return nullptr;
    }
}

void define_libraries() {
    define_options();
    define_constants();
    Class<Library>("MTLLibrary")
        .on("functionNames",
            [](Library* library) {
                std::vector<Object*> names;
                for (auto& function : library->engine.functions)
                    names.push_back(new_string(function.name));
                return autoreleased(new_array(names));
            })
        .on("newFunctionWithName:",
            [](Library* library, Object* name) -> Object* {
                auto* info = function_named(library, text_of(name));
                return info ? new_function(library, info) : nullptr;
            })
        .on("newFunctionWithName:constantValues:error:", [](Library* library, Object* name,
                                                            Object* values, Object** error) {
            return specialize(library, text_of(name),
                              expect<ConstantValues>(values, "newFunctionWithName: values"), error);
        });
    Class<Function>("MTLFunction")
        .on("name",
            [](Function* function) { return autoreleased(new_string(function->info->name)); })
        .on("functionType", [](Function*) -> UInteger { return 3; })
        .on("functionConstantsDictionary", [](Function* function) {
            auto* dictionary = autoreleased(make<Dictionary>());
            for (auto& info : function->info->constants) {
                auto* constant = make<FunctionConstant>();
                constant->info = info;
                dictionary->items.emplace_back(Ref<Object>::adopt(new_string(info.name)),
                                               Ref<Object>::adopt(constant));
            }
            return dictionary;
        });
}

// A dispatch_data is a String of the double's: dispatch_release and `release` are one.
extern "C" Object* dispatch_data_create(const void* bytes, size_t size, void* queue,
                                        const void* destructor) {
    if (queue || destructor)
        misuse("dispatch_data_create: only copying data is known");
    objc_lookUpClass("NSObject");
    return new_string(std::string(static_cast<const char*>(bytes), size));
}

extern "C" void dispatch_release(Object* data) {
    release(data);
}

} // namespace metal_double
