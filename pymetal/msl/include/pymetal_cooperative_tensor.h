// Tensors that lie in the registers of a simdgroup's, or several simdgroups', threads.
//
// A matrix is cut into fragments of 16 by 16. Lane l holds 8 elements of each: rows r and r + 8,
// columns c to c + 3, with r = (l/4 & 4) | (l/2 & 3), c = 4 * ((l/4 & 2) | (l & 1)); this is how
// public code lays out operands in registers (MLX's nax.h).
#pragma once
#pragma clang system_header
#include "pymetal_air.h"
#include "pymetal_limits.h"
#include "pymetal_simdgroup.h"
#include "pymetal_tensor.h"
#if __cplusplus >= 202002L

namespace mpp {
namespace tensor_ops {

// Goes through the elements of a thread that are elements of the tensor.
template <class Tensor>
struct tensor_iterator {
    METAL_FUNC auto& operator*() const { return (*whole)[at]; }
    METAL_FUNC tensor_iterator& operator++() {
        do
            ++at;
        while (at < Tensor::capacity && !whole->is_valid_element(at));
        return *this;
    }
    METAL_FUNC tensor_iterator operator++(int) {
        tensor_iterator before = *this;
        ++*this;
        return before;
    }
    METAL_FUNC bool operator==(const tensor_iterator& other) const { return at == other.at; }
    METAL_FUNC bool operator!=(const tensor_iterator& other) const { return at != other.at; }
    METAL_FUNC auto get_multidimensional_index() const {
        return whole->get_multidimensional_index(at);
    }
    Tensor* whole;
    int at;
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

    typedef tensor_iterator<cooperative_tensor> iterator;

    static constexpr METAL_FUNC ushort get_capacity() { return capacity; }
    METAL_FUNC T& operator[](int i) { return elements[i]; }
    METAL_FUNC const T& operator[](int i) const { return elements[i]; }
    METAL_FUNC T get(int i) const { return elements[i]; }
    METAL_FUNC void set(int i, T value) { elements[i] = value; }
    METAL_FUNC bool is_valid_element(int i) const {
        return row_of(i) < rows && column_of(i) < columns;
    }
    METAL_FUNC bool get_mask(int i) const { return is_valid_element(i); }
    // {column, row}
    METAL_FUNC metal::array<int, 2> get_multidimensional_index(int i) const {
        return metal::array<int, 2>{column_of(i), row_of(i)};
    }
    METAL_FUNC iterator begin() {
        iterator first{this, -1};
        return ++first;
    }
    METAL_FUNC iterator end() { return iterator{this, capacity}; }
    // Of the element in the same place of a tensor of the same shape.
    template <class T2>
    METAL_FUNC iterator
    map_iterator(tensor_iterator<cooperative_tensor<T2, rows, columns, simdgroups>> it) {
        return iterator{this, it.at};
    }

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

// What reducing the rows, or the columns, of such a tensor gives: the lanes that hold parts of a
// row all hold its result.
template <class T, int rows, int columns, int simdgroups, bool of_rows>
struct reduced_tensor {
    static_assert(simdgroups <= 1,
                  "unsupported Metal feature: tensor reductions over several simdgroups");
    typedef T element_type;
    typedef T value_type;
    typedef cooperative_tensor<T, rows, columns, simdgroups> source_type;
    typedef tensor_iterator<reduced_tensor> iterator;
    static constexpr int count = of_rows ? rows : columns;
    static constexpr int capacity = simdgroups == 0 ? count : (count + 15) / 16 * (of_rows ? 2 : 4);

    static constexpr METAL_FUNC ushort get_capacity() { return capacity; }
    METAL_FUNC T& operator[](int i) { return elements[i]; }
    METAL_FUNC const T& operator[](int i) const { return elements[i]; }
    METAL_FUNC T get(int i) const { return elements[i]; }
    METAL_FUNC void set(int i, T value) { elements[i] = value; }
    METAL_FUNC bool is_valid_element(int i) const { return place_of(i) < count; }
    METAL_FUNC bool get_mask(int i) const { return is_valid_element(i); }
    METAL_FUNC metal::array<int, 1> get_multidimensional_index(int i) const {
        return metal::array<int, 1>{place_of(i)};
    }
    METAL_FUNC iterator begin() {
        iterator first{this, -1};
        return ++first;
    }
    METAL_FUNC iterator end() { return iterator{this, capacity}; }
    // Of the result for the row or column in which a source's element is.
    template <class T2>
    METAL_FUNC iterator
    map_iterator(tensor_iterator<cooperative_tensor<T2, rows, columns, simdgroups>> it) {
        return iterator{this, element_for(it.at)};
    }
    template <class Tensor>
    METAL_FUNC void load(const Tensor& from) {
        for (int i = 0; i < capacity; ++i) {
            const bool inside = is_valid_element(i) && place_of(i) < from.get_extent(0);
            elements[i] = inside ? T(from(place_of(i))) : T(0);
        }
    }
    template <class Tensor>
    METAL_FUNC void store(const Tensor& to) const {
        for (int i = 0; i < capacity; ++i)
            if (is_first_lane() && is_valid_element(i) && place_of(i) < to.get_extent(0))
                to(place_of(i)) = typename Tensor::value_type(elements[i]);
    }

    static METAL_FUNC int place_of(int i) {
        if constexpr (simdgroups == 0)
            return i;
        const int lane = pymetal::air::thread_index_in_simdgroup();
        return of_rows ? i / 2 * 16 + source_type::lane_row(lane) + i % 2 * 8
                       : i / 4 * 16 + source_type::lane_column(lane) + i % 4;
    }
    static METAL_FUNC int element_for(int i) {
        if constexpr (simdgroups == 0)
            return of_rows ? i / columns : i % columns;
        const int fragment = i / 8;
        return of_rows ? fragment / source_type::across * 2 + i % 8 / 4
                       : fragment % source_type::across * 4 + i % 4;
    }
    // One of the lanes that hold the same.
    static METAL_FUNC bool is_first_lane() {
        if constexpr (simdgroups == 0)
            return true;
        const int lane = pymetal::air::thread_index_in_simdgroup();
        return (of_rows ? source_type::lane_column(lane) : source_type::lane_row(lane)) == 0;
    }

    T elements[capacity];
};

enum class reduction_operation { sum, max, min };

template <class T>
struct reduction_operation_identity {
    static constexpr T sum_identity = T(0);
    static constexpr T max_identity = metal::numeric_limits<T>::lowest();
    static constexpr T min_identity = metal::numeric_limits<T>::max();
};

} // namespace tensor_ops
} // namespace mpp

namespace pymetal {

template <class T>
METAL_FUNC T reduced(mpp::tensor_ops::reduction_operation op, T a, T b) {
    typedef mpp::tensor_ops::reduction_operation operation;
    return op == operation::sum ? T(a + b) : (op == operation::max ? b > a : b < a) ? b : a;
}

template <class Source, class To>
METAL_FUNC void reduce(Source& source, To& to, mpp::tensor_ops::reduction_operation op,
                       typename To::value_type identity, ushort3 lanes) {
    for (int i = 0; i < To::capacity; ++i)
        to.elements[i] = identity;
    for (int i = 0; i < Source::capacity; ++i)
        if (source.is_valid_element(i)) {
            auto& result = to.elements[To::element_for(i)];
            result = reduced(op, result, source.elements[i]);
        }
    if constexpr (To::source_type::own != 0) {
        for (int i = 0; i < To::capacity; ++i)
            for (int step = 0; step < 3; ++step)
                if (lanes[step] != 0)
                    to.elements[i] = reduced(op, to.elements[i],
                                             metal::simd_shuffle_xor(to.elements[i], lanes[step]));
    }
}

} // namespace pymetal

namespace mpp {
namespace tensor_ops {

// Each row's, or column's, sum, maximum or minimum. Lanes that hold parts of one row differ in bits
// 0 and 3; of one column, in bits 1, 2 and 4.
template <class Source, class To>
METAL_FUNC void reduce_rows(Source& source, To& to,
                            reduction_operation op = reduction_operation::sum,
                            typename To::value_type identity = 0) {
    pymetal::reduce(source, to, op, identity, ushort3{1, 8, 0});
}
template <class Source, class To>
METAL_FUNC void reduce_columns(Source& source, To& to,
                               reduction_operation op = reduction_operation::sum,
                               typename To::value_type identity = 0) {
    pymetal::reduce(source, to, op, identity, ushort3{2, 4, 16});
}

template <class T, class T2, int rows, int columns, int simdgroups, bool of_rows>
METAL_FUNC constexpr bool
is_iterator_compatible(const cooperative_tensor<T, rows, columns, simdgroups>&,
                       const reduced_tensor<T2, rows, columns, simdgroups, of_rows>&) {
    return true;
}
template <class T, class T2, int rows, int columns, int simdgroups>
METAL_FUNC constexpr bool
is_iterator_compatible(const cooperative_tensor<T, rows, columns, simdgroups>&,
                       const cooperative_tensor<T2, rows, columns, simdgroups>&) {
    return true;
}
template <class Source, class To>
METAL_FUNC constexpr bool is_iterator_compatible(const Source&, const To&) {
    return false;
}

} // namespace tensor_ops
} // namespace mpp

#endif
