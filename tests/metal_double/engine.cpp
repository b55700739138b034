// The seam between the double and whatever compiles and runs kernels.
//
// Replies are lines of tab-separated fields:
//   library    function NAME | constant NAME INDEX TYPE REQUIRED        (of the function above it)
//   pipeline   limits THREADS STATIC_MEMORY
//              buffer INDEX NAME ACCESS TYPE SIZE ALIGNMENT | threadgroup INDEX NAME SIZE ALIGNMENT
//              texture INDEX NAME ACCESS | sampler INDEX NAME
//              member DEPTH NAME TYPE OFFSET ARRAY_LENGTH STRIDE        (of the buffer above it)
#include "engine.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>

#include "runtime.hpp"

namespace metal_double {

namespace {

std::mutex mutex;
metal_double_engine engine{};

// The engine is Python: have the interpreter that this process is run the file that sets it.
void load_engine() {
    const char* path = std::getenv("METAL_DOUBLE_ENGINE");
    auto find = [](const char* name) { return dlsym(RTLD_DEFAULT, name); };
    auto ensure = reinterpret_cast<int (*)()>(find("PyGILState_Ensure"));
    auto leave = reinterpret_cast<void (*)(int)>(find("PyGILState_Release"));
    auto run = reinterpret_cast<int (*)(const char*, void*)>(find("PyRun_SimpleStringFlags"));
    if (!path || !ensure || !leave || !run)
        misuse("no engine: set METAL_DOUBLE_ENGINE to the Python file that sets one");
    int gil = ensure();
    std::string program = "import importlib.util as u, sys\n"
                          "s = u.spec_from_file_location('metal_double_engine', r'" +
                          std::string(path) +
                          "')\n"
                          "m = sys.modules[s.name] = u.module_from_spec(s)\n"
                          "s.loader.exec_module(m)\n";
    int failed = run(program.c_str(), nullptr);
    leave(gil);
    if (failed)
        misuse("%s failed to set an engine", path);
}

const metal_double_engine& the_engine() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (!engine.library)
            load_engine();
        if (!engine.library)
            misuse("METAL_DOUBLE_ENGINE did not set an engine");
    });
    return engine;
}

std::vector<std::vector<std::string>> fields_of(const std::string& reply) {
    std::vector<std::vector<std::string>> lines;
    std::istringstream text(reply);
    for (std::string line; std::getline(text, line);) {
        auto& fields = lines.emplace_back();
        std::istringstream rest(line);
        for (std::string field; std::getline(rest, field, '\t');)
            fields.push_back(field);
        fields.resize(8);
    }
    return lines;
}

unsigned long number(const std::string& field) {
    return std::strtoul(field.c_str(), nullptr, 10);
}

template <class Call>
long ask(std::string& reply, Call call) {
    long result = call(&reply);
    if (result < 0)
        throw EngineFailure{-result, reply};
    return result;
}

BindingInfo binding_of(const std::vector<std::string>& fields) {
    BindingInfo binding;
    binding.index = number(fields[1]);
    binding.name = fields[2];
    if (fields[0] == "buffer") {
        binding.access = number(fields[3]);
        binding.type = data_type_of(fields[4]);
        binding.size = number(fields[5]);
        binding.alignment = number(fields[6]);
    } else if (fields[0] == "threadgroup") {
        binding.kind = 1;
        binding.size = number(fields[3]);
        binding.alignment = number(fields[4]);
    } else {
        binding.kind = fields[0] == "texture" ? 2 : 3;
        binding.access = number(fields[3]);
    }
    return binding;
}

} // namespace

EngineHandle::~EngineHandle() {
    if (auto drop = the_engine().drop)
        drop(value_);
}

EngineLibrary engine_library(const std::string& data, bool is_metallib,
                             const std::string& options) {
    std::string reply;
    long handle = ask(reply, [&](void* to) {
        return the_engine().library(data.data(), data.size(), is_metallib, options.c_str(), to);
    });
    EngineLibrary library{std::make_shared<EngineHandle>(handle), {}};
    for (auto& fields : fields_of(reply)) {
        if (fields[0] == "function")
            library.functions.push_back({fields[1], {}});
        else
            library.functions.back().constants.push_back(
                {fields[1], number(fields[2]), data_type_of(fields[3]), fields[4] == "1"});
    }
    return library;
}

EnginePipeline engine_pipeline(long library, const std::string& function,
                               const std::string& constants) {
    std::string reply;
    long handle = ask(reply, [&](void* to) {
        return the_engine().pipeline(library, function.c_str(), constants.c_str(), to);
    });
    EnginePipeline pipeline{std::make_shared<EngineHandle>(handle), {}};
    auto& info = pipeline.info;
    for (auto& fields : fields_of(reply)) {
        if (fields[0] == "limits") {
            info.max_threads = number(fields[1]);
            info.static_memory = number(fields[2]);
        } else if (fields[0] == "member") {
            info.bindings.back().members.push_back({number(fields[1]), fields[2],
                                                    data_type_of(fields[3]), number(fields[4]),
                                                    number(fields[5]), number(fields[6])});
        } else {
            info.bindings.push_back(binding_of(fields));
        }
    }
    return pipeline;
}

void engine_launch(long pipeline, const metal_double_launch& launch) {
    std::string reply;
    ask(reply, [&](void* to) { return the_engine().launch(pipeline, &launch, to); });
}

unsigned long data_type_of(const std::string& type_name) {
    constexpr unsigned long pointer = 60;
    if (type_name == "pointer")
        return pointer;
    // Scalars and their vectors of 2, 3 and 4 have consecutive numbers; matrices follow their own.
    static const std::map<std::string, unsigned long> first = {
        {"float", 3},   {"half", 16},    {"int", 29},   {"uint", 33}, {"short", 37},
        {"ushort", 41}, {"char", 45},    {"uchar", 49}, {"bool", 53}, {"long", 81},
        {"ulong", 85},  {"bfloat", 121}, {"struct", 1},
    };
    auto name = type_name;
    for (std::string prefix : {"packed_", "atomic_"})
        if (name.starts_with(prefix))
            name = name.substr(prefix.size());
    if (auto scalar = first.find(name); scalar != first.end())
        return scalar->second;
    auto digit = name.find_first_of("234");
    if (digit == std::string::npos)
        return 0;
    auto scalar = first.find(name.substr(0, digit));
    if (scalar == first.end())
        return 0;
    auto columns = static_cast<unsigned long>(name[digit] - '0');
    if (name.size() == digit + 1)
        return scalar->second + columns - 1;
    bool is_matrix = name.size() == digit + 3 && name[digit + 1] == 'x' &&
                     (scalar->first == "float" || scalar->first == "half");
    if (!is_matrix)
        return 0;
    auto rows = static_cast<unsigned long>(name[digit + 2] - '0');
    return scalar->second + 4 + 3 * (columns - 2) + rows - 2;
}

extern "C" void metal_double_set_engine(const metal_double_engine* value) {
    std::lock_guard lock(mutex);
    engine = *value;
}

extern "C" void metal_double_reply(void* reply, const char* text, size_t size) {
    static_cast<std::string*>(reply)->assign(text, size);
}

} // namespace metal_double
