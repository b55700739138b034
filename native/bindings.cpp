// The Python face of the software device, and the module itself. The bindings*.cpp are the only
// files that include nanobind.
#include "bindings.h"
#include "bindings_calls.h"

#include "cpu/checks.h"
#include "cpu/code.h"
#include "cpu/context.h"
#include "cpu/half.h"
#include "cpu/launch.h"
#include "cpu/log.h"
#include "cpu/simdgroup.h"
#include "cpu/streaming.h"
#include "cpu/symbols.h"
#include "cpu/workers.h"

#include <bit>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;
using namespace pymetal::cpu;

namespace {

// How long a run of launches goes on before Python hears of those that are done: their arrays are
// the caller's again, and a program that ends need not wait for the rest.
constexpr std::chrono::milliseconds kTellAfter{20};

// A kernel ready to launch. Keeps its code alive; Python keeps the pipeline alive during a launch.
class Pipeline {
  public:
    Pipeline(nb::object code, const std::string& entry, const std::string& granularity,
             bool suspends, size_t threadgroup_bytes, size_t private_bytes, bool flush_subnormals,
             std::string name, uint64_t streams, nb::object rest)
        : code_(std::move(code)), rest_(std::move(rest)), threadgroup_bytes_(threadgroup_bytes),
          name_(std::move(name)) {
        kernel_.entry = reinterpret_cast<Entry>(nb::cast<Code&>(code_).address(entry));
        if (!rest_.is_none())
            kernel_.rest = reinterpret_cast<Entry>(nb::cast<Code&>(rest_).address(entry));
        if (granularity == "simdgroup along x" || granularity == "simdgroup along y")
            kernel_.lanes_along = granularity.back() == 'x' ? 0 : 1;
        else if (granularity != "thread" && granularity != "simdgroup")
            throw std::invalid_argument("granularity is 'thread' or 'simdgroup'");
        kernel_.granularity =
            granularity == "thread" ? Granularity::thread : Granularity::simdgroup;
        kernel_.suspends = suspends;
        kernel_.private_bytes = private_bytes;
        kernel_.flush_subnormals = flush_subnormals;
        kernel_.streams = streams;
    }

    std::optional<Fault> launch(const std::vector<uintptr_t>& buffers,
                                const std::vector<size_t>& threadgroup_arguments,
                                const pymetal::Size& grid, const pymetal::Size& threadgroup,
                                std::optional<double> timeout, Checks* checks, uint64_t schedule,
                                uint8_t fill, const std::vector<size_t>& sizes) const {
        std::vector<void*> addresses;
        addresses.reserve(buffers.size());
        for (const uintptr_t buffer : buffers)
            addresses.push_back(reinterpret_cast<void*>(buffer));
        // Threadgroup variables first, then each argument, aligned for any MSL type.
        size_t bytes = threadgroup_bytes_;
        std::vector<uint64_t> offsets;
        for (const size_t argument : threadgroup_arguments) {
            bytes = (bytes + 15) / 16 * 16;
            offsets.push_back(bytes);
            bytes += argument;
        }
        Kernel kernel = kernel_;
        kernel.checks = checks;
        kernel.schedule = schedule;
        kernel.fill = fill;
        kernel.streams = streamed(grid, [&](size_t k) { return k < sizes.size() ? sizes[k] : 0; });
        Outcome outcome;
        {
            const nb::gil_scoped_release release;
            Watch watch(timeout);
            run_released(kernel, std::move(addresses), std::move(offsets), bytes, grid, threadgroup,
                         watch, outcome);
        }
        return settled(outcome);
    }

    // `bound` was bound for a route whose launcher this is.
    std::optional<Fault> launch_bound(const pymetal::Bound& bound,
                                      std::optional<double> timeout) const {
        Outcome outcome;
        {
            const nb::gil_scoped_release release;
            Watch watch(timeout);
            run_bound(bound, watch, outcome);
        }
        return settled(outcome);
    }

    // Launches one after another until one fails, something else than a Bound of this device
    // comes, or there is time to tell Python: the seconds of each, and the fault. The list keeps
    // what it holds alive.
    static nb::tuple launch_all(const nb::list& bounds) {
        std::vector<std::pair<const Pipeline*, const pymetal::Bound*>> launches;
        for (nb::handle item : bounds) {
            if (!nb::isinstance<pymetal::Bound>(item))
                break;
            const auto& bound = *nb::inst_ptr<pymetal::Bound>(item);
            const nb::object& launcher = bound.route->launcher;
            if (!nb::isinstance<Pipeline>(launcher))
                break;
            launches.emplace_back(nb::inst_ptr<const Pipeline>(launcher), &bound);
        }
        std::vector<double> seconds;
        seconds.reserve(launches.size());
        std::optional<Fault> fault;
        {
            const nb::gil_scoped_release release;
            Watch watch(std::nullopt); // one for all: it costs as much as a small launch
            const auto first = std::chrono::steady_clock::now();
            auto start = first;
            for (const auto& [pipeline, bound] : launches) {
                Outcome outcome;
                pipeline->run_bound(*bound, watch, outcome);
                const auto end = std::chrono::steady_clock::now();
                seconds.push_back(std::chrono::duration<double>(end - start).count());
                start = end;
                if (!outcome.is_plain()) {
                    const nb::gil_scoped_acquire acquire;
                    fault = pipeline->settled(outcome);
                }
                if (fault || end - first > kTellAfter)
                    break;
            }
        }
        return nb::make_tuple(seconds, fault);
    }

  private:
    // How a launch ended, until Python is told.
    struct Outcome {
        std::optional<Fault> fault;
        Watch::Reason ended = Watch::Reason::none;
        bool interrupted = false; // a signal handler raised
        Log log;

        bool is_plain() const {
            return !fault && ended == Watch::Reason::none && !interrupted && log.empty();
        }
    };

    // Which of the buffers that the code may store to past the caches a launch shall.
    template <typename SizeOf>
    uint64_t streamed(const pymetal::Size& grid, const SizeOf& size_bytes) const {
        const uint64_t threads = uint64_t{grid[0]} * grid[1] * grid[2];
        uint64_t found = 0;
        for (uint64_t rest = kernel_.streams; rest != 0; rest &= rest - 1)
            if (is_streamed(size_bytes(static_cast<size_t>(std::countr_zero(rest))), threads))
                found |= rest & -rest;
        return found;
    }

    void run_bound(const pymetal::Bound& bound, Watch& watch, Outcome& outcome) const {
        std::vector<void*> addresses;
        addresses.reserve(bound.route->order.size());
        for (const uint8_t position : bound.route->order)
            addresses.push_back(bound.bound[position].memory);
        Kernel kernel = kernel_;
        kernel.streams = streamed(bound.route->grid, [&](size_t k) {
            return bound.bound[bound.route->order[k]].size_bytes;
        });
        run_released(kernel, std::move(addresses), {}, threadgroup_bytes_, bound.route->grid,
                     bound.route->threadgroup, watch, outcome);
    }

    // Called without the GIL.
    static void run_released(Kernel& kernel, std::vector<void*> addresses,
                             std::vector<uint64_t> offsets, size_t bytes, const pymetal::Size& grid,
                             const pymetal::Size& threadgroup, Watch& watch, Outcome& outcome) {
        // Python's signal handlers run, and raise KeyboardInterrupt, on the main thread only.
        const auto ask = [&outcome] {
            const nb::gil_scoped_acquire acquire;
            return outcome.interrupted = PyErr_CheckSignals() != 0;
        };
        kernel.log = &outcome.log;
        const Geometry geometry{{grid[0], grid[1], grid[2]},
                                {threadgroup[0], threadgroup[1], threadgroup[2]}};
        Launch launch(kernel, std::move(addresses), std::move(offsets), bytes, geometry);
        outcome.fault = launch.run(watch, ask);
        outcome.ended = watch.reason();
    }

    // Called with the GIL: delivers the log, raises what a signal handler raised.
    std::optional<Fault> settled(Outcome& outcome) const {
        if (!outcome.log.empty())
            deliver(outcome.log);
        if (!outcome.interrupted && outcome.ended == Watch::Reason::interrupt)
            outcome.interrupted = PyErr_CheckSignals() != 0;
        if (outcome.interrupted)
            throw nb::python_error();
        if (outcome.ended != Watch::Reason::none) { // whichever threadgroups it caught, if any
            if (!outcome.fault)
                outcome.fault.emplace();
            outcome.fault->trap.signal = kStopSignal;
            outcome.fault->trap.address = outcome.ended == Watch::Reason::timeout;
        }
        return std::move(outcome.fault);
    }

    // To Python's logging, once the launch is over.
    void deliver(Log& log) const {
        nb::list records;
        for (const LogRecord& r : log.records()) {
            const auto bytes = [](const std::string& s) { return nb::bytes(s.data(), s.size()); };
            records.append(nb::make_tuple(r.type, bytes(r.subsystem), bytes(r.category),
                                          bytes(r.format), r.words, r.thread_position_in_grid));
        }
        nb::module_::import_("pymetal.logs").attr("deliver")(name_, records, log.dropped());
    }

    nb::object code_;
    nb::object rest_;
    Kernel kernel_;
    size_t threadgroup_bytes_;
    std::string name_;
};

// Where compiled code finds each value: struct -> field -> byte offset.
nb::dict layout() {
    nb::dict launch, threadgroup, thread, all;
#define FIELD(dict, type, name) dict[#name] = offsetof(type, name)
    FIELD(launch, LaunchContext, buffers);
    FIELD(launch, LaunchContext, threadgroup_offsets);
    FIELD(launch, LaunchContext, threads_per_grid);
    FIELD(launch, LaunchContext, threadgroups_per_grid);
    FIELD(launch, LaunchContext, dispatch_threads_per_threadgroup);
    FIELD(launch, LaunchContext, dispatch_simdgroups_per_threadgroup);
    FIELD(launch, LaunchContext, dispatch_quadgroups_per_threadgroup);
    FIELD(launch, LaunchContext, streamed);
    FIELD(launch, LaunchContext, rest);
    FIELD(threadgroup, ThreadgroupContext, launch);
    FIELD(threadgroup, ThreadgroupContext, memory);
    FIELD(threadgroup, ThreadgroupContext, threadgroup_position_in_grid);
    FIELD(threadgroup, ThreadgroupContext, threads_per_threadgroup);
    FIELD(threadgroup, ThreadgroupContext, simdgroups_per_threadgroup);
    FIELD(threadgroup, ThreadgroupContext, quadgroups_per_threadgroup);
    FIELD(thread, ThreadContext, threadgroup);
    FIELD(thread, ThreadContext, thread_position_in_grid);
    FIELD(thread, ThreadContext, thread_position_in_threadgroup);
    FIELD(thread, ThreadContext, thread_index_in_threadgroup);
    FIELD(thread, ThreadContext, thread_index_in_simdgroup);
    FIELD(thread, ThreadContext, simdgroup_index_in_threadgroup);
    FIELD(thread, ThreadContext, thread_index_in_quadgroup);
    FIELD(thread, ThreadContext, quadgroup_index_in_threadgroup);
    FIELD(thread, ThreadContext, lanes);
#undef FIELD
    all["launch"] = launch;
    all["threadgroup"] = threadgroup;
    all["thread"] = thread;
    return all;
}

nb::dict simd_operations() {
    nb::dict all;
#define OPERATION(name) all[#name] = static_cast<uint32_t>(SimdOperation::name)
    OPERATION(sum);
    OPERATION(product);
    OPERATION(min);
    OPERATION(max);
    OPERATION(bit_and);
    OPERATION(bit_or);
    OPERATION(bit_xor);
    OPERATION(prefix_inclusive_sum);
    OPERATION(prefix_inclusive_product);
    OPERATION(prefix_exclusive_sum);
    OPERATION(prefix_exclusive_product);
    OPERATION(broadcast_first);
    OPERATION(shuffle);
    OPERATION(shuffle_up);
    OPERATION(shuffle_down);
    OPERATION(shuffle_xor);
    OPERATION(shuffle_rotate_up);
    OPERATION(shuffle_rotate_down);
    OPERATION(shuffle_and_fill_up);
    OPERATION(shuffle_and_fill_down);
    OPERATION(all);
    OPERATION(any);
    OPERATION(ballot);
    OPERATION(is_first);
    OPERATION(barrier);
    OPERATION(matrix_multiply_accumulate);
#undef OPERATION
    return all;
}

nb::dict simd_types() {
    nb::dict all;
#define TYPE(name) all[#name] = static_cast<uint32_t>(SimdType::name)
    TYPE(i1);
    TYPE(s8);
    TYPE(u8);
    TYPE(s16);
    TYPE(u16);
    TYPE(s32);
    TYPE(u32);
    TYPE(s64);
    TYPE(u64);
    TYPE(f16);
    TYPE(bf16);
    TYPE(f32);
#undef TYPE
    return all;
}

nb::dict symbols() {
    nb::dict all;
    for (const auto& [name, address] : SymbolTable::instance().all())
        all[nb::str(name.data(), name.size())] = reinterpret_cast<uintptr_t>(address);
    return all;
}

std::array<uint32_t, 3> position(const Fault& fault) {
    const uint32_t* p = fault.threadgroup_position_in_grid;
    return {p[0], p[1], p[2]};
}

const char* fault_kind(const Fault& fault) {
    const Trap& trap = fault.trap;
    switch (trap.signal) {
    case 0:
        return "barrier";
    case kStopSignal:
        return trap.address != 0 ? "timeout" : "interrupt";
    case SIGSEGV:
    case SIGBUS:
        return trap.stack_overflow ? "stack" : "memory";
    default:
        return "trap";
    }
}

const char* fault_access(const Fault& fault) {
    switch (fault.trap.access) {
    case Trap::Access::read:
        return "read";
    case Trap::Access::write:
        return "write";
    default:
        return "";
    }
}

void bind_cpu(nb::module_& module) {
    nb::class_<Code>(module, "Code", "Native code of a kernel: an ELF object, loaded and linked.")
        .def(
            "__init__",
            [](Code* self, const nb::bytes& object) {
                new (self) Code(std::string_view(object.c_str(), object.size()));
            },
            "object"_a,
            "Load an object file; ValueError if it is damaged or calls what is not in symbols().")
        .def(
            "address",
            [](const Code& self, std::string_view name) {
                return reinterpret_cast<uintptr_t>(self.address(name));
            },
            "name"_a, "The address of a function that the object defines.");

    nb::class_<Fault>(module, "Fault", "Why a launch failed.")
        .def_prop_ro("kind", fault_kind,
                     "'barrier', 'memory', 'stack', 'trap', 'timeout' or 'interrupt'.")
        .def_prop_ro("signal", [](const Fault& f) { return f.trap.signal; })
        .def_prop_ro(
            "address", [](const Fault& f) { return f.trap.address; },
            "What a fault of memory tried to reach.")
        .def_prop_ro("access", fault_access, "'read', 'write' or '' where that is not known.")
        .def_prop_ro(
            "thread_position_in_grid",
            [](const Fault& f) {
                return std::array<uint32_t, 3>{f.thread[0], f.thread[1], f.thread[2]};
            },
            "Of the thread that faulted, or the first of its simdgroup.")
        .def_prop_ro("threadgroup_position_in_grid", position)
        .def_ro("site", &Fault::site, "The barrier with the lowest number that threads wait at.")
        .def_ro("waiting", &Fault::waiting, "Indices in the threadgroup of the threads there.")
        .def_ro("elsewhere", &Fault::elsewhere, "Those that wait at another barrier.")
        .def_ro("elsewhere_site", &Fault::elsewhere_site, "The number of that barrier.")
        .def_ro("absent", &Fault::absent, "Those that reached no barrier.");

    nb::class_<Pipeline>(module, "Pipeline", "A kernel ready to launch on the software device.")
        .def(
            nb::init<nb::object, const std::string&, const std::string&, bool, size_t, size_t, bool,
                     std::string, uint64_t, nb::object>(),
            "code"_a, "entry"_a, "granularity"_a, "suspends"_a, "threadgroup_bytes"_a,
            "private_bytes"_a = 0, "flush_subnormals"_a = false, "name"_a = "", "streams"_a = 0,
            "rest"_a = nb::none(),
            "granularity: what one call of the entry runs, 'thread' or 'simdgroup'. suspends: it "
            "has barriers or cross-lane calls. threadgroup_bytes: of its threadgroup variables. "
            "private_bytes: what a call keeps in arrays on its stack. name: the kernel's, for what "
            "it logs. streams: a bit for each buffer that it may store to past the caches. rest: "
            "code with an entry of the same name, for the simdgroups that the first is not made "
            "for.")
        .def(
            "launch", &Pipeline::launch, "buffers"_a, "threadgroup_arguments"_a, "grid"_a,
            "threadgroup"_a, "timeout"_a = nb::none(), "checks"_a = nb::none(), "schedule"_a = 0,
            "fill"_a = 0, "sizes"_a = nb::make_tuple(),
            "Run a grid of threads; None, or the Fault that ended it. buffers: addresses in the "
            "order compiled for; threadgroup_arguments: bytes of each; timeout in seconds; "
            "checks: of instrumented code, begun; schedule: 0 for threads in order, 1 for "
            "backwards, others seed a random order; fill: the byte that threadgroup memory is full "
            "of; sizes: bytes of the buffers, where large ones may be stored to past the caches. "
            "Releases the GIL.")
        .def("launch_bound", &Pipeline::launch_bound, "bound"_a, "timeout"_a = nb::none(),
             "As launch, with what Calls bound for a route that launches this pipeline.")
        .def_static("launch_all", &Pipeline::launch_all, "bounds"_a,
                    "Launch each Bound by its route's pipeline, until one fails or something else "
                    "comes: the seconds of each, and the Fault or None.");

    module.attr("LOOSE_BARRIER") = kLooseBarrier;
    module.def("layout", layout, "Byte offsets in the structs that compiled code reads.");
    module.def("simd_operations", simd_operations, "Numbers of pymetal_simd's operations.");
    module.def("simd_types", simd_types, "Numbers of pymetal_simd's types.");
    module.def("symbols", symbols, "Addresses of everything that compiled code may call.");
    module.def("set_worker_count", &WorkerPool::set_size, "count"_a,
               "How many threads work on a launch, the calling one included.");
    module.def("set_streamed_from", &set_streamed_from, "size_bytes"_a,
               "From how many bytes on outputs are stored past the caches; 0: those that these do "
               "not hold.");
    module.def("worker_count", &WorkerPool::size);
    module.attr("MAX_THREADS_PER_THREADGROUP") = kMaxThreads;
}

} // namespace

NB_MODULE(_native, module) {
    // Arrays that another library or a global variable keeps to the end are no fault of the
    // program: only our own tests hear of them.
    nb::set_leak_warnings(std::getenv("PYMETAL_LEAK_WARNINGS") != nullptr);
    module.doc() = "Native part of PyMetal: the software device's runtime and the Metal device.";
    bind_checks(module);
    bind_cpu(module);
    bind_memory(module);
    bind_calls(module);
    bind_metal(module);
}
