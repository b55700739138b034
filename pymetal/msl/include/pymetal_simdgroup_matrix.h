// 8x8 matrices spread over a simdgroup: <metal_simdgroup_matrix>. Metal Shading Language
// Specification, section 6.7.
//
// Every lane holds two elements; docs/air.md says which. Products are accumulated in float.
#pragma once
#pragma clang system_header
#include "pymetal_air.h"
#include "pymetal_type_traits.h"

namespace metal {

template <class T, int Cols, int Rows = Cols>
struct simdgroup_matrix {
    static_assert(Cols == 8 && Rows == 8, "a simdgroup_matrix has 8 columns and 8 rows");
    static_assert(is_floating_point_v<T>, "a simdgroup_matrix is of float, half or bfloat");
    typedef T value_type;
    typedef vec<T, 2> storage_type;

    simdgroup_matrix() = default;
    // A diagonal matrix.
    METAL_FUNC explicit simdgroup_matrix(T dval)
        : elements_(pymetal::air::matrix_init_diag(dval)) {}

    // This lane's elements: read or write them by reference.
    METAL_FUNC thread storage_type& thread_elements() thread { return elements_; }
    METAL_FUNC const thread storage_type& thread_elements() const thread { return elements_; }

  private:
    storage_type elements_;
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int Cols, int Rows = Cols>
METAL_FUNC simdgroup_matrix<T, Cols, Rows> make_filled_simdgroup_matrix(T value) {
    simdgroup_matrix<T, Cols, Rows> m;
    m.thread_elements() = pymetal::air::matrix_init_filled(value);
    return m;
}
template <class T, int Cols, int Rows = Cols>
METAL_FUNC simdgroup_matrix<T, Cols, Rows> make_diagonal_simdgroup_matrix(T value) {
    return simdgroup_matrix<T, Cols, Rows>(value);
}

// Strides and origins count elements; the origin is (column, row).
template <class T, int Cols, int Rows>
METAL_FUNC void simdgroup_load(thread simdgroup_matrix<T, Cols, Rows>& d, const T* src,
                               ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                               bool transpose_matrix = false) {
    d.thread_elements() =
        pymetal::air::matrix_load(src, elements_per_row, matrix_origin, transpose_matrix);
}
template <class T, int Cols, int Rows>
METAL_FUNC void simdgroup_load(thread simdgroup_matrix<T, Cols, Rows>& d, const volatile T* src,
                               ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                               bool transpose_matrix = false) {
    simdgroup_load(d, const_cast<const T*>(src), elements_per_row, matrix_origin, transpose_matrix);
}
template <class T, int Cols, int Rows>
METAL_FUNC void simdgroup_store(simdgroup_matrix<T, Cols, Rows> a, T* dst,
                                ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                                bool transpose_matrix = false) {
    pymetal::air::matrix_store(a.thread_elements(), dst, elements_per_row, matrix_origin,
                               transpose_matrix);
}
template <class T, int Cols, int Rows>
METAL_FUNC void simdgroup_store(simdgroup_matrix<T, Cols, Rows> a, volatile T* dst,
                                ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                                bool transpose_matrix = false) {
    simdgroup_store(a, const_cast<T*>(dst), elements_per_row, matrix_origin, transpose_matrix);
}

// d = a * b + c
template <class D, class A, class B, class C>
METAL_FUNC void
simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8>& d, simdgroup_matrix<A, 8, 8> a,
                              simdgroup_matrix<B, 8, 8> b, simdgroup_matrix<C, 8, 8> c) {
    d.thread_elements() = pymetal::convert_lanes<D>(pymetal::air::matrix_multiply_accumulate(
        pymetal::convert_lanes<float>(a.thread_elements()),
        pymetal::convert_lanes<float>(b.thread_elements()),
        pymetal::convert_lanes<float>(c.thread_elements())));
}
// d = a * b
template <class D, class A, class B>
METAL_FUNC void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8>& d, simdgroup_matrix<A, 8, 8> a,
                                   simdgroup_matrix<B, 8, 8> b) {
    simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<float, 8, 8>(0.0f));
}
template <class T>
METAL_FUNC simdgroup_matrix<T, 8, 8> operator*(simdgroup_matrix<T, 8, 8> a,
                                               simdgroup_matrix<T, 8, 8> b) {
    simdgroup_matrix<T, 8, 8> d;
    simdgroup_multiply(d, a, b);
    return d;
}

} // namespace metal
