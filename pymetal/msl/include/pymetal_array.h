// array<T, N> and array_ref<T>: <metal_array>. Metal Shading Language Specification, section 2.12.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

namespace metal {

template <class T, size_t N>
struct array {
    typedef T value_type;
    typedef T& reference;
    typedef const T& const_reference;
    typedef T* pointer;
    typedef const T* const_pointer;
    typedef T* iterator;
    typedef const T* const_iterator;
    typedef size_t size_type;
    typedef ptrdiff_t difference_type;

    T __elems_[N ? N : 1]; // public: an array is an aggregate

    METAL_FUNC constexpr T& operator[](size_t i) { return __elems_[i]; }
    METAL_FUNC constexpr const T& operator[](size_t i) const { return __elems_[i]; }
    METAL_FUNC constexpr T& front() { return __elems_[0]; }
    METAL_FUNC constexpr const T& front() const { return __elems_[0]; }
    METAL_FUNC constexpr T& back() { return __elems_[N - 1]; }
    METAL_FUNC constexpr const T& back() const { return __elems_[N - 1]; }
    METAL_FUNC constexpr T* data() { return __elems_; }
    METAL_FUNC constexpr const T* data() const { return __elems_; }
    METAL_FUNC constexpr T* begin() { return __elems_; }
    METAL_FUNC constexpr const T* begin() const { return __elems_; }
    METAL_FUNC constexpr T* end() { return __elems_ + N; }
    METAL_FUNC constexpr const T* end() const { return __elems_ + N; }
    METAL_FUNC constexpr const T* cbegin() const { return __elems_; }
    METAL_FUNC constexpr const T* cend() const { return __elems_ + N; }
    METAL_FUNC static constexpr bool empty() { return N == 0; }
    METAL_FUNC static constexpr size_t size() { return N; }
    METAL_FUNC static constexpr size_t max_size() { return N; }
    METAL_FUNC void fill(const T& value) {
        for (size_t i = 0; i < N; i++)
            __elems_[i] = value;
    }
    METAL_FUNC void swap(array& other) {
        for (size_t i = 0; i < N; i++) {
            T t = __elems_[i];
            __elems_[i] = other.__elems_[i];
            other.__elems_[i] = t;
        }
    }
};
template <class T, class... U>
array(T, U...) -> array<T, 1 + sizeof...(U)>;

template <class T, size_t N>
METAL_FUNC constexpr bool operator==(const array<T, N>& a, const array<T, N>& b) {
    for (size_t i = 0; i < N; i++)
        if (!(a[i] == b[i]))
            return false;
    return true;
}
template <class T, size_t N>
METAL_FUNC constexpr bool operator!=(const array<T, N>& a, const array<T, N>& b) {
    return !(a == b);
}
template <size_t I, class T, size_t N>
METAL_FUNC constexpr T& get(array<T, N>& a) {
    static_assert(I < N, "the index is past the end of the array");
    return a[I];
}
template <size_t I, class T, size_t N>
METAL_FUNC constexpr const T& get(const array<T, N>& a) {
    static_assert(I < N, "the index is past the end of the array");
    return a[I];
}

// A view of elements that lie elsewhere.
template <class T>
struct array_ref {
    typedef T value_type;
    METAL_FUNC constexpr array_ref() : data_(nullptr), size_(0) {}
    METAL_FUNC constexpr array_ref(const T* data, size_t size) : data_(data), size_(size) {}
    template <size_t N>
    METAL_FUNC constexpr array_ref(const T (&elements)[N]) : data_(elements), size_(N) {}
    template <size_t N>
    METAL_FUNC constexpr array_ref(const array<T, N>& a) : data_(a.data()), size_(N) {}
    METAL_FUNC constexpr const T& operator[](size_t i) const { return data_[i]; }
    METAL_FUNC constexpr const T* data() const { return data_; }
    METAL_FUNC constexpr const T* begin() const { return data_; }
    METAL_FUNC constexpr const T* end() const { return data_ + size_; }
    METAL_FUNC constexpr size_t size() const { return size_; }
    METAL_FUNC constexpr bool empty() const { return size_ == 0; }

  private:
    const T* data_;
    size_t size_;
};
template <class T>
METAL_FUNC constexpr array_ref<T> make_array_ref(const T* data, size_t size) {
    return array_ref<T>(data, size);
}
template <class T, size_t N>
METAL_FUNC constexpr array_ref<T> make_array_ref(const T (&elements)[N]) {
    return array_ref<T>(elements);
}

} // namespace metal
