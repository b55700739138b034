// The Python face of the Metal device. With bindings.cpp, the only file that includes nanobind.
#include "bindings_calls.h"
#include "metal/metal.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;
using namespace pymetal::metal;

namespace {

constexpr size_t most_arguments = 31; // Metal's limit for buffers, and for threadgroup memory

PyObject* failure_type = nullptr;

// What MetalFailure is made of: pymetal/metal/errors.py makes the typed error of it.
nb::tuple facts_of(const Failure& failure) {
    return nb::make_tuple(failure.stage, failure.what(), failure.domain, failure.code,
                          failure.launches);
}

void raise_failure(const std::exception_ptr& exception, void*) {
    try {
        std::rethrow_exception(exception);
    } catch (const Failure& failure) {
        PyErr_SetObject(failure_type, facts_of(failure).ptr());
    }
}

std::shared_ptr<Library>
library_from_source(Device& device, const std::string& source, std::pair<int, int> language_version,
                    int math_mode, std::vector<std::pair<std::string, std::string>> macros,
                    bool enable_logging, bool use_metal4_compiler) {
    const CompileOptions options{language_version, math_mode, std::move(macros), enable_logging,
                                 use_metal4_compiler};
    const nb::gil_scoped_release release;
    return device.library_from_source(source, options);
}

std::shared_ptr<Library> library_from_metallib(Device& device, const nb::bytes& data) {
    const std::string bytes(data.c_str(), data.size());
    const nb::gil_scoped_release release;
    return device.library_from_metallib(bytes);
}

std::shared_ptr<Pipeline>
make_pipeline(Library& library, const std::string& function,
              const std::vector<std::tuple<size_t, std::string, nb::bytes>>& constants) {
    std::vector<ConstantValue> values;
    for (auto& [index, type, bytes] : constants)
        values.push_back({index, type, std::string(bytes.c_str(), bytes.size())});
    const nb::gil_scoped_release release;
    return library.pipeline(function, values);
}

// Lists of tuples go straight into fixed arrays: a warm launch allocates nothing.
GpuTime launch(Pipeline& pipeline, const nb::list& buffers, const nb::list& threadgroup_memory,
               const Size3& grid, const Size3& threadgroup, double timeout_seconds) {
    BufferSlot slots[most_arguments];
    ThreadgroupMemory memory[most_arguments];
    if (buffers.size() > most_arguments || threadgroup_memory.size() > most_arguments)
        throw Failure("launch", "more arguments than a kernel can have");
    size_t slot_count = 0, memory_count = 0;
    for (nb::handle item : buffers)
        slots[slot_count++] = {nb::cast<size_t>(item[0]),
                               reinterpret_cast<void*>(nb::cast<uintptr_t>(item[1])),
                               nb::cast<size_t>(item[2]), nb::cast<bool>(item[3])};
    for (nb::handle item : threadgroup_memory)
        memory[memory_count++] = {nb::cast<size_t>(item[0]), nb::cast<size_t>(item[1])};
    const Launch what{
        {slots, slot_count}, {memory, memory_count}, grid, threadgroup, timeout_seconds};
    const nb::gil_scoped_release release;
    return pipeline.launch(what);
}

// The slots of a warm call's values, written from `slots` on.
Launch launch_of(const Pipeline& pipeline, const pymetal::Bound& bound, BufferSlot* slots,
                 double timeout_seconds) {
    const auto arguments = pipeline.buffers();
    const auto& order = bound.route->order;
    if (order.size() != arguments.size())
        throw Failure("launch", "values bound for another pipeline");
    for (size_t i = 0; i < arguments.size(); ++i) {
        const auto& value = bound.bound[order[i]];
        slots[i] = {arguments[i].index, value.memory, value.size_bytes, arguments[i].is_written};
    }
    const auto threads = [](const pymetal::Size& size) { return Size3{size[0], size[1], size[2]}; };
    return {{slots, arguments.size()},
            {},
            threads(bound.route->grid),
            threads(bound.route->threadgroup),
            timeout_seconds};
}

GpuTime launch_bound(Pipeline& pipeline, const pymetal::Bound& bound, double timeout_seconds) {
    BufferSlot slots[most_arguments];
    const Launch what = launch_of(pipeline, bound, slots, timeout_seconds);
    const nb::gil_scoped_release release;
    return pipeline.launch(what);
}

// The list keeps alive what it holds.
nb::tuple launch_all(Device& device, const nb::list& bounds, const nb::list& pipelines) {
    std::vector<BufferSlot> slots(most_arguments * bounds.size());
    std::vector<Step> steps;
    for (size_t i = 0; i < bounds.size(); ++i) {
        auto* pipeline = nb::cast<Pipeline*>(pipelines[i]);
        const auto& bound = nb::cast<const pymetal::Bound&>(bounds[i]);
        steps.push_back({pipeline, launch_of(*pipeline, bound, &slots[most_arguments * i], 0)});
    }
    StepsResult result;
    {
        const nb::gil_scoped_release release;
        result = device.launch_all(steps);
    }
    nb::object failure = nb::none();
    if (result.failure)
        failure = nb::borrow(failure_type)(*facts_of(*result.failure));
    return nb::make_tuple(result.seconds, failure);
}

void bind_descriptions(nb::module_& module) {
    nb::class_<DeviceInfo>(module, "MetalDeviceInfo", "What a GPU is and allows.")
        .def_ro("name", &DeviceInfo::name)
        .def_ro("registry_id", &DeviceInfo::registry_id)
        .def_ro("is_paravirtual", &DeviceInfo::is_paravirtual, "Whether it is a virtual machine's.")
        .def_ro("has_unified_memory", &DeviceInfo::has_unified_memory)
        .def_ro("has_nonuniform_threadgroups", &DeviceInfo::has_nonuniform_threadgroups)
        .def_ro("max_buffer_bytes", &DeviceInfo::max_buffer_bytes)
        .def_ro("max_threadgroup_memory_bytes", &DeviceInfo::max_threadgroup_memory_bytes)
        .def_ro("recommended_working_set_bytes", &DeviceInfo::recommended_working_set_bytes)
        .def_ro("max_threadgroup_size", &DeviceInfo::max_threadgroup_size)
        .def_ro("families", &DeviceInfo::families)
        .def_ro("os_version", &DeviceInfo::os_version);
    nb::class_<ConstantInfo>(module, "MetalConstant", "A function constant.")
        .def_ro("name", &ConstantInfo::name)
        .def_ro("index", &ConstantInfo::index)
        .def_ro("type_name", &ConstantInfo::type_name)
        .def_ro("is_required", &ConstantInfo::is_required);
    nb::class_<MemberInfo>(module, "MetalMember", "A member of a struct argument.")
        .def_ro("name", &MemberInfo::name)
        .def_ro("type_name", &MemberInfo::type_name, "\"\" for a struct.")
        .def_ro("offset", &MemberInfo::offset)
        .def_ro("array_length", &MemberInfo::array_length)
        .def_ro("members", &MemberInfo::members);
    nb::class_<BindingInfo>(module, "MetalBinding", "An argument, as Metal reflects it.")
        .def_ro("kind", &BindingInfo::kind)
        .def_ro("name", &BindingInfo::name)
        .def_ro("index", &BindingInfo::index)
        .def_ro("access", &BindingInfo::access)
        .def_ro("type_name", &BindingInfo::type_name, "\"\" for a struct.")
        .def_ro("size_bytes", &BindingInfo::size_bytes)
        .def_ro("align_bytes", &BindingInfo::align_bytes)
        .def_ro("members", &BindingInfo::members);
    nb::class_<GpuTime>(module, "GpuTime", "When the GPU ran a launch, in seconds of its clock.")
        .def_ro("start_seconds", &GpuTime::start_seconds)
        .def_ro("end_seconds", &GpuTime::end_seconds);
    nb::class_<LogMessage>(module, "MetalLogMessage", "What a kernel logged.")
        .def_ro("level", &LogMessage::level)
        .def_ro("subsystem", &LogMessage::subsystem)
        .def_ro("category", &LogMessage::category)
        .def_ro("text", &LogMessage::text);
}

} // namespace

void bind_metal(nb::module_& module) {
    // Named after the module as it is called now: the stubs leave out what seems another's.
    const auto name = nb::cast<std::string>(module.attr("__name__")) + ".MetalFailure";
    failure_type = PyErr_NewException(name.c_str(), PyExc_RuntimeError, nullptr);
    module.attr("MetalFailure") = nb::handle(failure_type);
    nb::register_exception_translator(raise_failure);
    bind_descriptions(module);

    nb::class_<Device>(module, "MetalDevice", "A GPU.")
        .def_prop_ro("info", &Device::info, nb::rv_policy::reference_internal)
        .def("library_from_source", library_from_source, "source"_a, "language_version"_a,
             "math_mode"_a, "macros"_a, "enable_logging"_a, "use_metal4_compiler"_a)
        .def("library_from_metallib", library_from_metallib, "data"_a)
        .def("launch_all", launch_all, "bounds"_a, "pipelines"_a,
             "Launch what calls bound, each by its pipeline, in as few command buffers as can be: "
             "the GPU's seconds of each, up to the MetalFailure or None. Releases the GIL.")
        .def("unfinished_launches", &Device::unfinished_launches,
             "How many launches that timed out still run.")
        .def("start_capture", &Device::start_capture, "path"_a)
        .def("stop_capture", &Device::stop_capture)
        .def("take_log", &Device::take_log, "What kernels logged since the last call.");
    nb::class_<Library>(module, "MetalLibrary", "A compiled library.")
        .def("function_names", &Library::function_names)
        .def("constants", &Library::constants, "function"_a)
        .def("pipeline", make_pipeline, "function"_a, "constants"_a,
             "constants: (index, type name, bytes) of each.");
    nb::class_<Pipeline>(module, "MetalPipeline", "A function ready to launch.")
        .def_prop_ro("bindings", &Pipeline::bindings, nb::rv_policy::reference_internal)
        .def_prop_ro(
            "buffer_indices",
            [](const Pipeline& pipeline) {
                std::vector<size_t> indices;
                for (auto& slot : pipeline.buffers())
                    indices.push_back(slot.index);
                return indices;
            },
            "In the order in which launch_bound takes the values.")
        .def_prop_ro("max_total_threads_per_threadgroup",
                     &Pipeline::max_total_threads_per_threadgroup)
        .def_prop_ro("static_threadgroup_memory_bytes", &Pipeline::static_threadgroup_memory_bytes)
        .def_prop_ro("threads_per_simdgroup", &Pipeline::threads_per_simdgroup)
        .def("launch", launch, "buffers"_a, "threadgroup_memory"_a, "grid"_a, "threadgroup"_a,
             "timeout_seconds"_a = 0.0,
             "buffers: (index, address, bytes, is written) of each; threadgroup_memory: (index, "
             "bytes). Waits for the GPU without the GIL.")
        .def("launch_bound", launch_bound, "bound"_a, "timeout_seconds"_a = 0.0,
             "As launch, with what a call bound.");

    module.def("metal_is_present", is_present);
    module.def("open_metal_device", open_device);
}
