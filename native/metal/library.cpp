// Libraries: Metal source compiled at run time, or a .metallib; functions and their constants.
#include "metal/device.h"

#include <algorithm>

#include <dispatch/dispatch.h>

namespace pymetal::metal {

namespace {

constexpr long macos_15 = 15, macos_26 = 26;

MTL::LanguageVersion newest_language() {
    if (os_at_least(macos_26))
        return MTL::LanguageVersion4_0;
    return os_at_least(macos_15) ? MTL::LanguageVersion3_2 : MTL::LanguageVersion3_1;
}

MTL::LanguageVersion language_version(std::pair<int, int> version) {
    auto newest = newest_language();
    if (version == std::pair{0, 0})
        return newest;
    auto asked =
        static_cast<NS::UInteger>(version.first) << 16 | static_cast<NS::UInteger>(version.second);
    if (asked > newest)
        throw Failure("unsupported", "Metal " + std::to_string(version.first) + "." +
                                         std::to_string(version.second) +
                                         " is newer than this macOS knows (" +
                                         std::to_string(newest >> 16) + "." +
                                         std::to_string(newest & 0xffff) + ")");
    return static_cast<MTL::LanguageVersion>(asked);
}

void set_macros(MTL::CompileOptions* options,
                const std::vector<std::pair<std::string, std::string>>& macros) {
    if (macros.empty())
        return;
    std::vector<const NS::Object*> names, values;
    for (auto& [name, value] : macros) {
        names.push_back(ns_string(name));
        values.push_back(ns_string(value));
    }
    options->setPreprocessorMacros(
        NS::Dictionary::dictionary(values.data(), names.data(), macros.size()));
}

// macOS 15 has math modes; before, "fast" is on or off, and "relaxed" counts as off.
void set_math(MTL::CompileOptions* options, int math_mode) {
    if (!os_at_least(macos_15)) {
        options->setFastMathEnabled(math_mode == MTL::MathModeFast);
        return;
    }
    options->setMathMode(static_cast<MTL::MathMode>(math_mode));
    options->setMathFloatingPointFunctions(math_mode == MTL::MathModeSafe
                                               ? MTL::MathFloatingPointFunctionsPrecise
                                               : MTL::MathFloatingPointFunctionsFast);
}

Owned<MTL::CompileOptions> metal_options(const CompileOptions& options) {
    auto result = owned(MTL::CompileOptions::alloc()->init());
    result->setLanguageVersion(language_version(options.language_version));
    set_math(result.get(), options.math_mode);
    set_macros(result.get(), options.macros);
    if (options.enable_logging)
        result->setEnableLogging(true);
    return result;
}

// Metal 4 compiles through an object of its own; what comes out is an ordinary library.
MTL::Library* compile_with_metal4(MTL::Device* device, const std::string& source,
                                  MTL::CompileOptions* options, NS::Error** error) {
    auto description = owned(MTL4::CompilerDescriptor::alloc()->init());
    auto compiler = owned(device->newCompiler(description.get(), error));
    if (!compiler)
        return nullptr;
    auto library = owned(MTL4::LibraryDescriptor::alloc()->init());
    library->setSource(ns_string(source));
    library->setOptions(options);
    return compiler->newLibrary(library.get(), error);
}

} // namespace

std::shared_ptr<Library> MetalDevice::library_from_source(const std::string& source,
                                                          const CompileOptions& options) {
    AutoreleasePool pool;
    if (options.enable_logging)
        enable_logging();
    auto chosen = metal_options(options);
    NS::Error* error = nullptr;
    bool metal4 = options.use_metal4_compiler && os_at_least(macos_26) &&
                  device_->supportsFamily(MTL::GPUFamilyMetal4);
    auto library = owned(metal4 ? compile_with_metal4(metal(), source, chosen.get(), &error)
                                : device_->newLibrary(ns_string(source), chosen.get(), &error));
    if (!library)
        throw failure("compile", error, "Metal's compiler failed and did not say why");
    return std::make_shared<MetalLibrary>(shared_from_this(), std::move(library),
                                          options.enable_logging);
}

std::shared_ptr<Library> MetalDevice::library_from_metallib(const std::string& bytes) {
    AutoreleasePool pool;
    auto data =
        dispatch_data_create(bytes.data(), bytes.size(), nullptr, DISPATCH_DATA_DESTRUCTOR_DEFAULT);
    NS::Error* error = nullptr;
    auto library = owned(device_->newLibrary(data, &error));
    dispatch_release(data);
    if (!library)
        throw failure("metallib", error, "Metal could not load the library");
    return std::make_shared<MetalLibrary>(shared_from_this(), std::move(library), false);
}

std::vector<std::string> MetalLibrary::function_names() const {
    AutoreleasePool pool;
    std::vector<std::string> names;
    auto* array = library_->functionNames();
    for (NS::UInteger i = 0; i < array->count(); ++i)
        names.push_back(std_string(array->object<NS::String>(i)));
    return names;
}

Owned<MTL::Function> MetalLibrary::function(const std::string& name) const {
    auto function = owned(library_->newFunction(ns_string(name)));
    if (!function)
        throw Failure("function", "there is no function '" + name + "' in the library");
    if (function->functionType() != MTL::FunctionTypeKernel)
        throw Failure("function", "function '" + name + "' is not a kernel");
    return function;
}

std::vector<ConstantInfo> MetalLibrary::constants(const std::string& name) const {
    AutoreleasePool pool;
    std::vector<ConstantInfo> constants;
    auto metal_function = function(name);
    auto* dictionary = metal_function->functionConstantsDictionary();
    auto* names = dictionary ? dictionary->keyEnumerator<NS::String>()->allObjects() : nullptr;
    for (NS::UInteger i = 0; names && i < names->count(); ++i) {
        auto* constant = dictionary->object<MTL::FunctionConstant>(names->object(i));
        constants.push_back({std_string(constant->name()), constant->index(),
                             type_name(constant->type()), constant->required()});
    }
    std::ranges::sort(constants, {}, &ConstantInfo::index);
    return constants;
}

std::shared_ptr<Pipeline> MetalLibrary::pipeline(const std::string& name,
                                                 const std::vector<ConstantValue>& constants) {
    AutoreleasePool pool;
    NS::Error* error = nullptr;
    auto metal_function = function(name);
    if (!constants.empty()) {
        auto values = owned(MTL::FunctionConstantValues::alloc()->init());
        for (auto& constant : constants)
            values->setConstantValue(constant.bytes.data(), data_type(constant.type_name),
                                     constant.index);
        metal_function = owned(library_->newFunction(ns_string(name), values.get(), &error));
        if (!metal_function)
            throw failure("pipeline", error, "Metal could not set the function constants");
    }
    MTL::ComputePipelineReflection* reflection = nullptr;
    auto state = owned(device_->metal()->newComputePipelineState(
        metal_function.get(), MTL::PipelineOptionBindingInfo | MTL::PipelineOptionBufferTypeInfo,
        &reflection, &error));
    if (!state)
        throw failure("pipeline", error, "Metal could not make a pipeline of '" + name + "'");
    return std::make_shared<MetalPipeline>(device_, std::move(state), bindings_of(reflection),
                                           logs_);
}

} // namespace pymetal::metal
