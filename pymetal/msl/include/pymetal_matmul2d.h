// mpp::tensor_ops::matmul2d: products of tensors by the simdgroups of a threadgroup together.
//
// A matrix is cut into fragments of 16 by 16. Lane l holds 8 elements of each: rows r and r + 8,
// columns c to c + 3, with r = (l/4 & 4) | (l/2 & 3), c = 4 * ((l/4 & 2) | (l & 1)); this is how
// public code lays out operands in registers (MLX's nax.h). Seen through these positions, columns
// {c + 2j, c + 2j + 1} of all lanes are an 8x8 simdgroup matrix: that is what is multiplied.
#pragma once
#pragma clang system_header
#include "pymetal_air.h"
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

// A part of a matrix of `rows` by `columns` in every thread's registers. simdgroups 0: all of it
// in one thread's.
template <class T, int rows, int columns, int simdgroups>
struct cooperative_tensor {
    typedef T element_type;
    typedef T value_type;
    static constexpr int across = (columns + 15) / 16;
    static constexpr int fragments = (rows + 15) / 16 * across;
    static constexpr int own = simdgroups == 0 ? 0 : (fragments + simdgroups - 1) / simdgroups;
    static constexpr int capacity = simdgroups == 0 ? rows * columns : own * 8;

    struct iterator {
        METAL_FUNC T& operator*() const { return (*whole)[at]; }
        METAL_FUNC iterator& operator++() {
            do
                ++at;
            while (at < capacity && !whole->is_valid_element(at));
            return *this;
        }
        METAL_FUNC iterator operator++(int) {
            iterator before = *this;
            ++*this;
            return before;
        }
        METAL_FUNC bool operator==(const iterator& other) const { return at == other.at; }
        METAL_FUNC bool operator!=(const iterator& other) const { return at != other.at; }
        METAL_FUNC auto get_multidimensional_index() const {
            return whole->get_multidimensional_index(at);
        }
        cooperative_tensor* whole;
        int at;
    };

    static constexpr METAL_FUNC ushort get_capacity() { return capacity; }
    METAL_FUNC T& operator[](int i) { return elements[i]; }
    METAL_FUNC const T& operator[](int i) const { return elements[i]; }
    METAL_FUNC T get(int i) const { return elements[i]; }
    METAL_FUNC void set(int i, T value) { elements[i] = value; }
    METAL_FUNC bool is_valid_element(int i) const {
        return row_of(i) < rows && column_of(i) < columns;
    }
    // {column, row}
    METAL_FUNC metal::array<int, 2> get_multidimensional_index(int i) const {
        return metal::array<int, 2>{column_of(i), row_of(i)};
    }
    METAL_FUNC iterator begin() {
        iterator first{this, -1};
        return ++first;
    }
    METAL_FUNC iterator end() { return iterator{this, capacity}; }

    template <class Tensor>
    METAL_FUNC void load(const Tensor& from) {
        for (int i = 0; i < capacity; ++i) {
            const int row = row_of(i), column = column_of(i);
            const bool inside = row < rows && column < columns && row < from.get_extent(1) &&
                                column < from.get_extent(0);
            elements[i] = inside ? T(from(column, row)) : T(0);
        }
    }
    template <class Tensor>
    METAL_FUNC void store(const Tensor& to) const {
        for (int i = 0; i < capacity; ++i) {
            const int row = row_of(i), column = column_of(i);
            if (row < rows && column < columns && row < to.get_extent(1) &&
                column < to.get_extent(0))
                to(column, row) = typename Tensor::value_type(elements[i]);
        }
    }

    static METAL_FUNC int lane_row(int lane) { return (lane >> 2 & 4) | (lane >> 1 & 3); }
    static METAL_FUNC int lane_column(int lane) { return ((lane >> 2 & 2) | (lane & 1)) * 4; }
    // Of fragment `f` of this simdgroup's own.
    static METAL_FUNC int fragment(int f) {
        if constexpr (simdgroups <= 1)
            return f;
        else
            return int(pymetal::air::simdgroup_index_in_threadgroup()) % simdgroups * own + f;
    }
    static METAL_FUNC int row_of(int i) {
        if constexpr (simdgroups == 0) {
            return i / columns;
        } else {
            const int lane = pymetal::air::thread_index_in_simdgroup();
            return fragment(i / 8) / across * 16 + lane_row(lane) + i % 8 / 4 * 8;
        }
    }
    static METAL_FUNC int column_of(int i) {
        if constexpr (simdgroups == 0) {
            return i % columns;
        } else {
            const int lane = pymetal::air::thread_index_in_simdgroup();
            return fragment(i / 8) % across * 16 + lane_column(lane) + i % 4;
        }
    }

    T elements[capacity];
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
    static constexpr bool accumulates =
        d.matmul_mode == matmul2d_descriptor::mode::multiply_accumulate;

    // `Left` and `Right` are the operands' tensors, or their element types.
    template <class Left, class Right, class T, class... More>
    METAL_FUNC auto get_destination_cooperative_tensor() const {
        return cooperative_tensor<T, d.m, d.n, simdgroups>();
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

} // namespace tensor_ops
} // namespace mpp

#endif
