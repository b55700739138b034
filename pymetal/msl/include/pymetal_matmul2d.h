// mpp::tensor_ops::matmul2d: products of tensors by the simdgroups of a threadgroup together.
//
// Seen through the positions of pymetal_cooperative_tensor.h, columns {c + 2j, c + 2j + 1} of all
// lanes are an 8x8 simdgroup matrix: that is what is multiplied.
#pragma once
#pragma clang system_header
#include "pymetal_air.h"
#include "pymetal_cooperative_tensor.h"
#include "pymetal_simdgroup.h"
#include "pymetal_simdgroup_matrix.h"
#include "pymetal_tensor.h"
#if __cplusplus >= 202002L

namespace mpp {
namespace tensor_ops {

struct matmul2d_descriptor {
    enum class mode { multiply, multiply_accumulate };

    int m, n, k;
    bool transpose_left, transpose_right, relaxed_precision;
    mode matmul_mode;

    constexpr matmul2d_descriptor(int m_, int n_, int k_ = metal::dynamic_length_v<int>,
                                  bool left = false, bool right = false, bool relaxed = false,
                                  mode how = mode::multiply)
        : m(m_), n(n_), k(k_), transpose_left(left), transpose_right(right),
          relaxed_precision(relaxed), matmul_mode(how) {}
    constexpr matmul2d_descriptor(int m_, int n_, int k_, bool left, bool right, mode how)
        : matmul2d_descriptor(m_, n_, k_, left, right, false, how) {}
};

} // namespace tensor_ops
} // namespace mpp

namespace pymetal {

template <bool choice, class A, class B>
struct select_type {
    typedef A type;
};
template <class A, class B>
struct select_type<false, A, B> {
    typedef B type;
};

template <class A>
inline constexpr bool is_cooperative = false;
template <class T, int rows, int columns, int simdgroups>
inline constexpr bool
    is_cooperative<mpp::tensor_ops::cooperative_tensor<T, rows, columns, simdgroups>> = true;

// The element at a row and column that differ by lane; 0 outside.
template <class Tensor>
METAL_FUNC auto element_of(const Tensor& tensor, int row, int column) {
    typedef typename Tensor::value_type T;
    if constexpr (is_cooperative<Tensor>) {
        if constexpr (Tensor::capacity == Tensor::fragments * 8) {
            // From the lane that holds it: every element of the fragment is offered.
            const int lane =
                (row & 3) << 1 | (row & 4) << 2 | (column >> 2 & 1) | (column >> 3 & 1) << 3;
            const int index = (row >> 3 & 1) * 4 + (column & 3);
            const int fragment = row / 16 * Tensor::across + column / 16;
            T result = T(0);
            for (int i = 0; i < Tensor::capacity; ++i) {
                const T offered = metal::simd_shuffle(tensor.elements[i], ushort(lane));
                result = i == fragment * 8 + index ? offered : result;
            }
            return result;
        } else {
            return tensor.elements[row * (Tensor::capacity / Tensor::fragments) + column];
        }
    } else {
        const bool inside = row < tensor.get_extent(1) && column < tensor.get_extent(0);
        return inside ? T(tensor(column, row)) : T(0);
    }
}

template <bool transposed, class Tensor>
METAL_FUNC auto operand(const Tensor& tensor, int row, int column) {
    if constexpr (transposed)
        return element_of(tensor, column, row);
    else
        return element_of(tensor, row, column);
}

} // namespace pymetal

namespace mpp {
namespace tensor_ops {

template <matmul2d_descriptor d, class Scope, class... Rest>
struct matmul2d {
    static constexpr int simdgroups = Scope::simdgroups;
    static constexpr matmul2d_descriptor descriptor = d;
    typedef Scope scope;
    static constexpr bool accumulates =
        d.matmul_mode == matmul2d_descriptor::mode::multiply_accumulate;

    // `Left` and `Right` are the operands' tensors, or their element types.
    template <class Left, class Right, class T, class... More>
    METAL_FUNC auto get_destination_cooperative_tensor() const {
        return cooperative_tensor<T, d.m, d.n, simdgroups>();
    }
    template <class Left, class Right, class T, class... More>
    METAL_FUNC auto get_row_reduction_destination_cooperative_tensor() const {
        return reduced_tensor<T, d.m, d.n, simdgroups, true>();
    }
    template <class Left, class Right, class T, class... More>
    METAL_FUNC auto get_column_reduction_destination_cooperative_tensor() const {
        return reduced_tensor<T, d.m, d.n, simdgroups, false>();
    }
    template <class Left, class Right, class T, class... More>
    METAL_FUNC auto get_left_input_cooperative_tensor() const {
        static_assert(d.k > 0, "a left operand in registers needs a descriptor with k");
        static_assert(simdgroups <= 1, "operands in registers are those of one simdgroup");
        if constexpr (d.transpose_left)
            return cooperative_tensor<Left, d.k, d.m, simdgroups>();
        else
            return cooperative_tensor<Left, d.m, d.k, simdgroups>();
    }
    template <class Left, class Right, class T, class... More>
    METAL_FUNC auto get_right_input_cooperative_tensor() const {
        static_assert(d.k > 0, "a right operand in registers needs a descriptor with k");
        static_assert(simdgroups <= 1, "operands in registers are those of one simdgroup");
        if constexpr (d.transpose_right)
            return cooperative_tensor<Right, d.n, d.k, simdgroups>();
        else
            return cooperative_tensor<Right, d.k, d.n, simdgroups>();
    }

    // to = left * right, or to += left * right. `to` is a tensor, or in registers.
    template <class Left, class Right, class To>
    METAL_FUNC void run(const Left& left, const Right& right, To& to) const {
        typedef typename To::value_type T;
        constexpr bool whole = __is_integral(T);
        typedef typename pymetal::select_type<whole, int, float>::type Sum;
        cooperative_tensor<Sum, d.m, d.n, simdgroups> sum;
        for (int i = 0; i < sum.capacity; ++i)
            sum.elements[i] = Sum(0);
        if constexpr (accumulates) {
            if constexpr (pymetal::is_cooperative<To>) {
                for (int i = 0; i < sum.capacity; ++i)
                    sum.elements[i] = Sum(to.elements[i]);
            } else {
                sum.load(to);
            }
        }
        int depth = d.k;
        if constexpr (d.k <= 0)
            depth = left.get_extent(d.transpose_left ? 1 : 0);
        if constexpr (whole || simdgroups == 0)
            by_element(left, right, sum, depth);
        else
            by_matrix(left, right, sum, depth);
        if constexpr (pymetal::is_cooperative<To>) {
            for (int i = 0; i < sum.capacity; ++i)
                to.elements[i] = T(sum.elements[i]);
        } else {
            sum.store(to);
        }
    }
    template <class Left, class Right, class To>
    METAL_FUNC void run(const Left& left, const Right& right, To&& to) const {
        run(left, right, static_cast<To&>(to));
    }

  private:
    template <class Left, class Right, class Sum>
    static METAL_FUNC void by_element(const Left& left, const Right& right, Sum& sum, int depth) {
        typedef typename Sum::value_type T;
        for (int k = 0; k < depth; ++k)
            for (int i = 0; i < Sum::capacity; ++i) {
                const T a = T(pymetal::operand<d.transpose_left>(left, Sum::row_of(i), k));
                const T b = T(pymetal::operand<d.transpose_right>(right, k, Sum::column_of(i)));
                sum.elements[i] += a * b;
            }
    }

    template <class Left, class Right, class Sum>
    static METAL_FUNC void by_matrix(const Left& left, const Right& right, Sum& sum, int depth) {
        const int lane = pymetal::air::thread_index_in_simdgroup();
        const int row = Sum::lane_row(lane), column = Sum::lane_column(lane);
        typedef float Pair __attribute__((ext_vector_type(2)));
        for (int k = 0; k < depth; k += 8)
            for (int f = 0; f < Sum::own; ++f) {
                const int fragment = Sum::fragment(f);
                const int top = fragment / Sum::across * 16, side = fragment % Sum::across * 16;
                if (Sum::fragments % Sum::own != 0 && fragment >= Sum::fragments)
                    continue;
                for (int i = 0; i < 2; ++i) {
                    Pair a;
                    for (int e = 0; e < 2; ++e) {
                        const int at = k + column / 2 + e;
                        a[e] = at < depth ? float(pymetal::operand<d.transpose_left>(
                                                left, top + row + 8 * i, at))
                                          : 0;
                    }
                    for (int j = 0; j < 2; ++j) {
                        Pair b, c;
                        for (int e = 0; e < 2; ++e) {
                            const int at = k + row;
                            b[e] = at < depth ? float(pymetal::operand<d.transpose_right>(
                                                    right, at, side + column + 2 * j + e))
                                              : 0;
                            c[e] = sum.elements[f * 8 + i * 4 + j * 2 + e];
                        }
                        c = pymetal::air::matrix_multiply_accumulate(a, b, c);
                        for (int e = 0; e < 2; ++e)
                            sum.elements[f * 8 + i * 4 + j * 2 + e] = c[e];
                    }
                }
            }
    }
};

struct __attribute__((unavailable("unsupported Metal feature: tensor convolutions")))
convolution2d_descriptor {
    constexpr convolution2d_descriptor(auto...) {}
};

} // namespace tensor_ops
} // namespace mpp

#endif
