#include "bindings_calls.h"

#include "bindings.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>
#include <span>
#include <type_traits>

namespace nb = nanobind;
using namespace nb::literals;

namespace pymetal {
namespace {

constexpr size_t kMostRoutes = 64;

// What one argument takes.
struct Slot {
    bool is_written = false;
    size_t size_bytes = 0; // of an element
    size_t alignment = 1;
    bool is_one_element = false; // a reference
    bool is_padded = false;      // float3 and its kind, which rows of three do not fit
    nb::object dtype;            // None: no array is certain to fit
    char number = 0;             // NumPy's kind of the number that it takes, if it takes one
};

// A size as geometry.size reads it: an int, or a tuple of one to three.
bool read_size(nb::handle value, Size& size) {
    const auto read_part = [](PyObject* part, uint32_t& out) {
        if (!PyLong_CheckExact(part))
            return false;
        const unsigned long long number = PyLong_AsUnsignedLongLong(part);
        if (PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
        out = static_cast<uint32_t>(number);
        return number >= 1 && number <= UINT32_MAX;
    };
    size = {1, 1, 1};
    if (!PyTuple_CheckExact(value.ptr()))
        return read_part(value.ptr(), size[0]);
    const Py_ssize_t parts = PyTuple_Size(value.ptr());
    if (parts < 1 || parts > 3)
        return false;
    for (Py_ssize_t i = 0; i < parts; ++i)
        if (!read_part(PyTuple_GetItem(value.ptr(), i), size[static_cast<size_t>(i)]))
            return false;
    return true;
}

// Python's os.environ changes the process's environment too; asking that is much faster.
bool is_asked_for(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != 0;
}

template <typename T>
bool put(T value, std::byte* out) {
    std::memcpy(out, &value, sizeof value);
    return true;
}

bool put_int(PyObject* value, const Slot& slot, std::byte* out) {
    if (!PyLong_CheckExact(value))
        return false; // bool and NumPy's ints too
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0)
        return false;
    const auto fits = [number](auto limits) {
        using T = decltype(limits);
        if constexpr (std::is_unsigned_v<T>)
            return number >= 0 &&
                   static_cast<unsigned long long>(number) <= std::numeric_limits<T>::max();
        else
            return number >= std::numeric_limits<T>::min() &&
                   number <= std::numeric_limits<T>::max();
    };
    const bool is_signed = slot.number == 'i';
    switch (slot.size_bytes) {
    case 1:
        return (is_signed ? fits(int8_t{}) : fits(uint8_t{})) &&
               put(static_cast<uint8_t>(number), out);
    case 2:
        return (is_signed ? fits(int16_t{}) : fits(uint16_t{})) &&
               put(static_cast<uint16_t>(number), out);
    case 4:
        return (is_signed ? fits(int32_t{}) : fits(uint32_t{})) &&
               put(static_cast<uint32_t>(number), out);
    case 8:
        return (is_signed || number >= 0) && put(number, out);
    default:
        return false;
    }
}

bool put_number(PyObject* value, const Slot& slot, std::byte* out) {
    if (slot.number == 'i' || slot.number == 'u')
        return put_int(value, slot, out);
    if (slot.number == 'b')
        return PyBool_Check(value) && put(static_cast<uint8_t>(value == Py_True), out);
    if (slot.number != 'f' || slot.size_bytes != 4 || !PyFloat_CheckExact(value))
        return false;
    const double wide = PyFloat_AsDouble(value);
    const auto narrow = static_cast<float>(wide);
    return std::isfinite(wide) == std::isfinite(narrow) && put(narrow, out);
}

nb::object method(PyObject* self, PyObject* name, nb::handle a = {}, nb::handle b = {}) {
    PyObject* arguments[] = {self, a.ptr(), b.ptr()};
    const size_t given = b.is_valid() ? 3 : a.is_valid() ? 2 : 1;
    PyObject* result = PyObject_VectorcallMethod(name, arguments, given, nullptr);
    if (result == nullptr)
        throw nb::python_error();
    return nb::steal(result);
}

bool is_in(const nb::tuple& objects, PyObject* object) {
    return std::any_of(objects.begin(), objects.end(),
                       [=](nb::handle one) { return one.is(object); });
}

class Calls {
  public:
    Calls(nb::object array_type, nb::object output_type, nb::object allocate,
          nb::tuple scalar_types, size_t most_bytes, const nb::list& slots)
        : array_type_(std::move(array_type)), output_type_(std::move(output_type)),
          allocate_(std::move(allocate)), scalar_types_(std::move(scalar_types)),
          dtype_name_(nb::str("dtype")), item_(nb::str("item")), most_bytes_(most_bytes) {
        if (slots.size() > kMostBuffers)
            throw nb::value_error("more arguments than a kernel can have");
        for (nb::handle item : slots) {
            Slot slot;
            slot.is_written = nb::cast<bool>(item[0]);
            slot.size_bytes = nb::cast<size_t>(item[1]);
            slot.alignment = std::max<size_t>(1, nb::cast<size_t>(item[2]));
            slot.is_one_element = nb::cast<bool>(item[3]);
            slot.is_padded = nb::cast<bool>(item[4]);
            slot.dtype = item[5];
            const auto number = nb::cast<nb::str>(item[6]);
            slot.number = number.c_str()[0];
            slots_.push_back(std::move(slot));
        }
    }

    void remember(const Size& grid, const Size& threadgroup, bool picks_threadgroup,
                  nb::object launcher, const std::vector<uint8_t>& order) {
        for (const uint8_t position : order)
            if (position >= slots_.size())
                throw nb::value_error("an address of an argument that is not there");
        // Calls that Python bound, though the geometry is known, tell of it again.
        std::erase_if(routes_, [&](const auto& known) {
            return known->grid == grid && known->threadgroup == threadgroup &&
                   known->picks_threadgroup == picks_threadgroup;
        });
        if (routes_.size() == kMostRoutes)
            routes_.erase(routes_.begin());
        routes_.push_back(std::make_shared<const Route>(
            Route{grid, threadgroup, picks_threadgroup, std::move(launcher), order}));
    }

    // None where it is not certain that the values fit. Raises what `allocate` raises.
    // `self` is this object as Python knows it.
    std::unique_ptr<Bound> bind(nb::handle self, const nb::tuple& values, nb::handle grid,
                                nb::handle threadgroup) const {
        auto route = find(grid, threadgroup);
        const size_t count = slots_.size();
        if (route == nullptr || values.size() != count || is_asked_for("PYMETAL_CHECK") ||
            is_asked_for("PYMETAL_TIMEOUT"))
            return nullptr;
        auto call = std::make_unique<Bound>(self, std::move(route), values, count);
        bool writes_callers_array = false;
        nb::object outputs; // None or a list
        for (size_t i = 0; i < count; ++i) {
            const Slot& slot = slots_[i];
            PyObject* value = PyTuple_GetItem(values.ptr(), static_cast<Py_ssize_t>(i));
            BoundValue& bound = call->bound[i];
            PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
            if (type == array_type_.ptr()) {
                if (!bind_array(value, slot, bound))
                    return nullptr;
                writes_callers_array |= slot.is_written;
            } else if (type == output_type_.ptr()) {
                if (!outputs.is_valid()) {
                    outputs = nb::list();
                    call->values = nb::list(values);
                }
                const nb::object made = allocate_(i, nb::handle(value));
                if (!bind_array(made.ptr(), slot, bound))
                    return nullptr;
                nb::cast<nb::list>(outputs).append(made);
                call->values[i] = made;
            } else {
                nb::object plain; // the number of one of NumPy's scalars
                if (is_in(scalar_types_, type)) {
                    plain = method(value, item_.ptr());
                    value = plain.ptr();
                }
                if (slot.number == 0 || !put_number(value, slot, bound.number.data()))
                    return nullptr;
                bound.memory = bound.number.data();
                bound.size_bytes = slot.size_bytes;
            }
        }
        if (writes_callers_array && !are_apart(*call))
            return nullptr;
        if (!outputs.is_valid())
            call->results = nb::none();
        else if (const auto list = nb::cast<nb::list>(outputs); list.size() == 1)
            call->results = list[0];
        else
            call->results = nb::tuple(list);
        return call;
    }

  private:
    std::shared_ptr<const Route> find(nb::handle grid, nb::handle threadgroup) const {
        Size wanted_grid, wanted_threadgroup;
        const bool picks = threadgroup.is_none();
        if (routes_.empty() || !read_size(grid, wanted_grid) ||
            (!picks && !read_size(threadgroup, wanted_threadgroup)))
            return nullptr;
        const auto fits = [&](const auto& route) {
            return route->grid == wanted_grid && route->picks_threadgroup == picks &&
                   (picks || route->threadgroup == wanted_threadgroup);
        };
        const auto found = std::find_if(routes_.rbegin(), routes_.rend(), fits);
        return found == routes_.rend() ? nullptr : *found;
    }

    bool bind_array(PyObject* array, const Slot& slot, BoundValue& out) const {
        PyObject* dtype = PyObject_GetAttr(array, dtype_name_.ptr());
        Py_XDECREF(dtype); // the array has it
        if (dtype != slot.dtype.ptr()) {
            PyErr_Clear();
            return false;
        }
        Py_buffer view;
        const int flags = PyBUF_C_CONTIGUOUS | (slot.is_written ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(array, &view, flags) != 0) {
            PyErr_Clear();
            return false;
        }
        const auto size = static_cast<size_t>(view.len);
        // A 0-d array that is only read counts as a number.
        const bool fits = (view.ndim > 0 || slot.is_written) && size > 0 && size <= most_bytes_ &&
                          size % slot.size_bytes == 0 &&
                          (!slot.is_one_element || size == slot.size_bytes) &&
                          reinterpret_cast<uintptr_t>(view.buf) % slot.alignment == 0 &&
                          !(slot.is_padded && view.ndim > 1 && view.shape[view.ndim - 1] == 3);
        out.memory = view.buf;
        out.size_bytes = size;
        PyBuffer_Release(&view);
        return fits;
    }

    // What is written shares memory with nothing else, or all of it.
    bool are_apart(const Bound& call) const {
        for (size_t i = 0; i < slots_.size(); ++i) {
            const BoundValue& written = call.bound[i];
            const auto* start = static_cast<const char*>(written.memory);
            for (size_t j = 0; slots_[i].is_written && j < slots_.size(); ++j) {
                const BoundValue& other = call.bound[j];
                const auto* begin = static_cast<const char*>(other.memory);
                const bool is_same = begin == start && other.size_bytes == written.size_bytes;
                if (i != j && !is_same && begin < start + written.size_bytes &&
                    start < begin + other.size_bytes)
                    return false;
            }
        }
        return true;
    }

    nb::object array_type_, output_type_, allocate_;
    nb::tuple scalar_types_;
    nb::object dtype_name_, item_;
    size_t most_bytes_;
    std::vector<Slot> slots_;
    std::vector<std::shared_ptr<const Route>> routes_; // oldest first
};

} // namespace
} // namespace pymetal

namespace {

using namespace pymetal;

// The words of a call, as Python interns them: compared by address. Never freed.
struct Words {
    static PyObject* word(const char* text) { return PyUnicode_InternFromString(text); }
    PyObject* grid = word("grid");
    PyObject* threadgroup = word("threadgroup");
    PyObject* queue = word("queue");
    // Those that a warm call may have as None only, as which they say nothing, or as False.
    PyObject* none[4] = {word("threadgroups"), word("threadgroup_memory"), word("timeout"),
                         word("save_on_fault")};
    PyObject* none_or_false[2] = {word("check"), word("validate")};
    PyObject* call = word("call");
    PyObject* submit = word("submit");
    PyObject* launch_bound = word("launch_bound");
    PyObject* fail = word("_fail");
};

bool is_in(std::span<PyObject* const> words, PyObject* name) {
    return std::find(words.begin(), words.end(), name) != words.end();
}

// The sizes and the queue of a call; false where there are words that only Python can read.
bool read_words(PyObject* named, const Words& words, PyObject*& grid, PyObject*& threadgroup,
                PyObject*& queue) {
    PyObject *name, *value;
    for (Py_ssize_t at = 0; PyDict_Next(named, &at, &name, &value) != 0;) {
        if (name == words.grid)
            grid = value;
        else if (name == words.threadgroup)
            threadgroup = value;
        else if (name == words.queue)
            queue = value;
        else if (!(value == Py_None && is_in(words.none, name)) &&
                 !((value == Py_None || value == Py_False) && is_in(words.none_or_false, name)))
            return false;
    }
    return true;
}

// kernel(...): a warm call runs here, any other in Kernel.call.
nb::object call(PyObject* self, PyObject* values, PyObject* named) {
    static const Words& words = *new Words;
    PyObject *grid = Py_None, *threadgroup = Py_None, *queue = Py_None;
    std::unique_ptr<Bound> made;
    if (nb::inst_ready(self) &&
        (named == nullptr || read_words(named, words, grid, threadgroup, queue)))
        made =
            nb::inst_ptr<Calls>(self)->bind(self, nb::borrow<nb::tuple>(values), grid, threadgroup);
    // What is no queue is for Python to refuse.
    if (made == nullptr || (queue != Py_None && !nb::hasattr(queue, words.submit))) {
        const nb::object other = nb::handle(self).attr(words.call);
        PyObject* result = PyObject_Call(other.ptr(), values, named);
        if (result == nullptr)
            throw nb::python_error();
        return nb::steal(result);
    }
    const nb::object results = made->results, launcher = made->route->launcher;
    const nb::object bound = nb::cast(made.release(), nb::rv_policy::take_ownership);
    if (queue != Py_None) {
        method(queue, words.submit, bound);
        return results;
    }
    const nb::object fault = method(launcher.ptr(), words.launch_bound, bound);
    if (!fault.is_none())
        method(self, words.fail, bound, fault); // raises
    return results;
}

PyObject* call_slot(PyObject* self, PyObject* values, PyObject* named) noexcept {
    try {
        return call(self, values, named).release().ptr();
    } catch (nb::python_error& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

} // namespace

void bind_calls(nb::module_& module) {
    nb::class_<Bound>(module, "Bound", "The values of one call, bound to their arguments.")
        .def_ro("kernel", &Bound::kernel)
        .def_ro("values", &Bound::values)
        .def_ro("results", &Bound::results)
        .def_prop_ro("launcher", [](const Bound& bound) { return bound.route->launcher; })
        .def_prop_ro("grid", [](const Bound& bound) { return bound.route->grid; })
        .def_prop_ro("threadgroup", [](const Bound& bound) { return bound.route->threadgroup; });
    module.def(
        "getenv",
        [](const char* name) -> nb::object {
            const char* value = std::getenv(name);
            return value == nullptr ? nb::none() : nb::steal(PyUnicode_DecodeFSDefault(value));
        },
        "name"_a, "As os.environ.get, ten times as fast.",
        nb::sig("def getenv(name: str) -> str | None"));
    static PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(call_slot)}, {0, nullptr}};
    nb::class_<Calls>(module, "Calls", nb::type_slots(slots),
                      "What Kernel is made of: binds and runs calls like earlier ones.")
        .def(nb::init<nb::object, nb::object, nb::object, nb::tuple, size_t, const nb::list&>(),
             "array_type"_a, "output_type"_a, "allocate"_a, "scalar_types"_a, "most_bytes"_a,
             "slots"_a)
        .def("remember", &Calls::remember, "grid"_a, "threadgroup"_a, "picks_threadgroup"_a,
             "launcher"_a, "order"_a)
        .def(
            "bind",
            [](nb::handle self, const nb::tuple& values, nb::handle grid, nb::handle threadgroup) {
                const auto& calls = nb::cast<const Calls&>(self);
                return calls.bind(self, values, grid, threadgroup).release();
            },
            "values"_a, "grid"_a.none(), "threadgroup"_a.none(), nb::rv_policy::take_ownership,
            "A Bound; None where it is not certain that the values fit, and Python must see.");
}
