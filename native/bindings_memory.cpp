// The Python face of memory: pages of our own, and other libraries' arrays through DLPack. Both
// have the buffer protocol, from which pymetal/arrays.py makes NumPy arrays.
#include "bindings.h"
#include "memory.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;
using pymetal::Memory;

namespace {

// Another library's array, kept alive by DLPack's own count.
class Borrowed {
  public:
    explicit Borrowed(nb::handle source) {
        if (!nb::try_cast(source, writable_, false)) {
            if (!nb::try_cast(source, readable_, false))
                throw nb::type_error("no DLPack");
            is_read_only_ = true;
        }
    }

    // `view(array)` with the array, whichever it is.
    template <typename View>
    auto with(View view) const {
        return is_read_only_ ? view(readable_) : view(writable_);
    }
    bool is_read_only() const { return is_read_only_; }
    void* start() const {
        return with([](const auto& array) {
            return static_cast<void*>(static_cast<char*>(array.data_handle()) +
                                      array.byte_offset());
        });
    }
    Py_ssize_t item_bytes() const {
        return with([](const auto& array) {
            return static_cast<Py_ssize_t>(array.dtype().bits * array.dtype().lanes + 7) / 8;
        });
    }
    // From the first element to the end of the last.
    Py_ssize_t span_bytes() const {
        return with([this](const auto& array) {
            Py_ssize_t last = 0;
            for (size_t i = 0; i < array.ndim(); ++i) {
                if (array.shape(i) == 0)
                    return Py_ssize_t{0};
                if (array.stride(i) < 0)
                    throw nb::buffer_error("an array with a negative stride");
                last += static_cast<Py_ssize_t>(array.shape(i) - 1) * array.stride(i);
            }
            return (last + 1) * item_bytes();
        });
    }
    nb::tuple shape() const {
        return with([](const auto& array) {
            nb::list sizes;
            for (size_t i = 0; i < array.ndim(); ++i)
                sizes.append(array.shape(i));
            return nb::tuple(sizes);
        });
    }
    nb::tuple strides() const {
        return with([this](const auto& array) {
            nb::list bytes;
            for (size_t i = 0; i < array.ndim(); ++i)
                bytes.append(array.stride(i) * item_bytes());
            return nb::tuple(bytes);
        });
    }
    nb::tuple dtype() const {
        return with([](const auto& array) {
            const auto type = array.dtype();
            return nb::make_tuple(int{type.code}, int{type.bits}, int{type.lanes});
        });
    }

  private:
    nb::ndarray<> writable_;
    nb::ndarray<nb::ro> readable_;
    bool is_read_only_ = false;
};

// What other libraries take through DLPack: `owner`'s memory, of a type that NumPy may not know.
// Strides count elements.
template <typename... Options>
nb::object lend(nb::handle owner, uintptr_t address, const std::vector<size_t>& shape,
                const std::vector<int64_t>& strides, nb::dlpack::dtype type) {
    const nb::ndarray<nb::array_api, Options...> lent(
        reinterpret_cast<void*>(address), shape.size(), shape.data(), owner, strides.data(), type);
    return nb::cast(lent, nb::rv_policy::reference);
}

int memory_buffer(PyObject* self, Py_buffer* view, int flags) {
    const Memory& memory = *nb::inst_ptr<Memory>(self);
    return PyBuffer_FillInfo(view, self, memory.data(),
                             static_cast<Py_ssize_t>(memory.size_bytes()), 0, flags);
}

int borrowed_buffer(PyObject* self, Py_buffer* view, int flags) {
    const Borrowed& borrowed = *nb::inst_ptr<Borrowed>(self);
    try {
        return PyBuffer_FillInfo(view, self, borrowed.start(), borrowed.span_bytes(),
                                 borrowed.is_read_only(), flags);
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_BufferError, error.what());
        view->obj = nullptr;
        return -1;
    }
}

} // namespace

void bind_memory(nb::module_& module) {
    static PyType_Slot memory_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(memory_buffer)},
                                         {0, nullptr}};
    static PyType_Slot borrowed_slots[] = {
        {Py_bf_getbuffer, reinterpret_cast<void*>(borrowed_buffer)}, {0, nullptr}};

    nb::class_<Memory>(module, "Memory", nb::type_slots(memory_slots),
                       "Whole pages of zeros that both devices use where they lie. A buffer.")
        .def(nb::init<size_t>(), "size_bytes"_a)
        .def_prop_ro("size_bytes", &Memory::size_bytes)
        .def_prop_ro("room_bytes", &Memory::room_bytes);
    nb::class_<Borrowed>(module, "Borrowed", nb::type_slots(borrowed_slots),
                         "The memory of another library's array. A buffer of its bytes.")
        .def(nb::init<nb::handle>(), "source"_a, "TypeError if it has no usable __dlpack__.")
        .def_prop_ro("shape", &Borrowed::shape)
        .def_prop_ro("strides", &Borrowed::strides, "In bytes.")
        .def_prop_ro("dtype", &Borrowed::dtype, "DLPack's (type code, bits, lanes).")
        .def_prop_ro("is_read_only", &Borrowed::is_read_only);
    module.def(
        "lend",
        [](nb::handle owner, uintptr_t address, const std::vector<size_t>& shape,
           const std::vector<int64_t>& strides, uint8_t code, uint8_t bits, bool is_read_only) {
            const nb::dlpack::dtype type{code, bits, 1};
            return is_read_only ? lend<nb::ro>(owner, address, shape, strides, type)
                                : lend<>(owner, address, shape, strides, type);
        },
        "owner"_a, "address"_a, "shape"_a, "strides"_a, "code"_a, "bits"_a, "is_read_only"_a,
        "An object with __dlpack__ over owner's memory; code and bits are DLPack's.");
}
