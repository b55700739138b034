// Matrices and their functions: <metal_matrix>. Metal Shading Language Specification, sections
// 2.3 and 6.6. matrix<T, Cols, Rows> is Cols columns of vec<T, Rows>; T is float or half.
#pragma once
#pragma clang system_header
#include "pymetal_type_traits.h"

namespace pymetal {

// A constructor's parameter for a column that the matrix does not have.
struct no_column {};
template <class Column, bool exists>
using column_or_none = metal::conditional_t<exists, Column, no_column>;

} // namespace pymetal

namespace metal {

template <class T, int Cols, int Rows>
struct matrix {
    static_assert(is_same_v<T, float> || is_same_v<T, half>, "a matrix is of float or half");
    static_assert(2 <= Cols && Cols <= 4 && 2 <= Rows && Rows <= 4,
                  "a matrix has 2, 3 or 4 columns and rows");
    typedef T value_type;
    typedef vec<T, Rows> column_type;
    column_type columns[Cols];

    matrix() = default;
    // The diagonal, zero elsewhere.
    METAL_FUNC explicit constexpr matrix(T diagonal) : columns{} {
        for (int i = 0; i < Cols && i < Rows; i++)
            columns[i][i] = diagonal;
    }
    // The columns, two to four.
    METAL_FUNC constexpr matrix(column_type a, column_type b,
                                pymetal::column_or_none<column_type, (Cols > 2)> c = {},
                                pymetal::column_or_none<column_type, (Cols > 3)> d = {})
        : columns{a, b} {
        if constexpr (Cols > 2)
            columns[2] = c;
        if constexpr (Cols > 3)
            columns[3] = d;
    }
    // Every element, column by column.
    template <class... A,
              enable_if_t<sizeof...(A) == Cols * Rows && (is_convertible_v<A, T> && ...), int> = 0>
    METAL_FUNC constexpr matrix(A... elements) : columns{} {
        const T all[] = {(T)elements...};
        for (int i = 0; i < Cols * Rows; i++)
            columns[i / Rows][i % Rows] = all[i];
    }
    // A matrix of the other element type.
    template <class U, enable_if_t<!is_same_v<T, U>, int> = 0>
    METAL_FUNC explicit constexpr matrix(const matrix<U, Cols, Rows>& m) : columns{} {
        for (int i = 0; i < Cols; i++)
            columns[i] = __builtin_convertvector(m.columns[i], column_type);
    }

    METAL_FUNC constexpr column_type& operator[](int i) { return columns[i]; }
    METAL_FUNC constexpr const column_type& operator[](int i) const { return columns[i]; }

    METAL_FUNC constexpr matrix operator-() const {
        matrix r;
        for (int i = 0; i < Cols; i++)
            r.columns[i] = -columns[i];
        return r;
    }
    METAL_FUNC constexpr matrix& operator+=(const matrix& m) { return *this = *this + m; }
    METAL_FUNC constexpr matrix& operator-=(const matrix& m) { return *this = *this - m; }
    METAL_FUNC constexpr matrix& operator*=(T s) { return *this = *this * s; }
    template <int N>
    METAL_FUNC constexpr matrix& operator*=(const matrix<T, N, N>& m) {
        return *this = *this * m;
    }

    // Friends, so that what converts to T or to a column is an argument too.
    METAL_FUNC friend constexpr matrix operator+(const matrix& a, const matrix& b) {
        matrix r;
        for (int i = 0; i < Cols; i++)
            r.columns[i] = a.columns[i] + b.columns[i];
        return r;
    }
    METAL_FUNC friend constexpr matrix operator-(const matrix& a, const matrix& b) {
        matrix r;
        for (int i = 0; i < Cols; i++)
            r.columns[i] = a.columns[i] - b.columns[i];
        return r;
    }
    METAL_FUNC friend constexpr matrix operator*(const matrix& a, T s) {
        matrix r;
        for (int i = 0; i < Cols; i++)
            r.columns[i] = a.columns[i] * s;
        return r;
    }
    METAL_FUNC friend constexpr matrix operator*(T s, const matrix& a) { return a * s; }
    METAL_FUNC friend constexpr column_type operator*(const matrix& a, vec<T, Cols> v) {
        column_type r = a.columns[0] * v[0];
        for (int i = 1; i < Cols; i++)
            r += a.columns[i] * v[i];
        return r;
    }
    METAL_FUNC friend constexpr vec<T, Cols> operator*(column_type v, const matrix& a) {
        vec<T, Cols> r = 0;
        for (int i = 0; i < Cols; i++) {
            column_type p = v * a.columns[i];
            T sum = p[0];
            for (int j = 1; j < Rows; j++)
                sum += p[j];
            r[i] = sum;
        }
        return r;
    }
    METAL_FUNC friend constexpr bool operator==(const matrix& a, const matrix& b) {
        for (int i = 0; i < Cols; i++)
            for (int j = 0; j < Rows; j++)
                if (!(a.columns[i][j] == b.columns[i][j]))
                    return false;
        return true;
    }
    METAL_FUNC friend constexpr bool operator!=(const matrix& a, const matrix& b) {
        return !(a == b);
    }
};

// (Rows x K) * (K x Cols)
template <class T, int K, int Rows, int Cols>
METAL_FUNC constexpr matrix<T, Cols, Rows> operator*(const matrix<T, K, Rows>& a,
                                                     const matrix<T, Cols, K>& b) {
    matrix<T, Cols, Rows> r;
    for (int i = 0; i < Cols; i++)
        r.columns[i] = a * b.columns[i];
    return r;
}

template <class T, int Cols, int Rows>
METAL_FUNC constexpr matrix<T, Rows, Cols> transpose(const matrix<T, Cols, Rows>& m) {
    matrix<T, Rows, Cols> r;
    for (int i = 0; i < Rows; i++)
        for (int j = 0; j < Cols; j++)
            r.columns[i][j] = m.columns[j][i];
    return r;
}

template <class T>
METAL_FUNC constexpr T determinant(const matrix<T, 2, 2>& m) {
    return m[0][0] * m[1][1] - m[1][0] * m[0][1];
}
template <class T>
METAL_FUNC constexpr T determinant(const matrix<T, 3, 3>& m) {
    return m[0][0] * (m[1][1] * m[2][2] - m[2][1] * m[1][2]) -
           m[1][0] * (m[0][1] * m[2][2] - m[2][1] * m[0][2]) +
           m[2][0] * (m[0][1] * m[1][2] - m[1][1] * m[0][2]);
}
template <class T>
METAL_FUNC constexpr T determinant(const matrix<T, 4, 4>& m) {
    // By 2x2 minors of the upper two and the lower two rows.
    T a0 = m[0][0] * m[1][1] - m[1][0] * m[0][1], b5 = m[2][2] * m[3][3] - m[3][2] * m[2][3];
    T a1 = m[0][0] * m[2][1] - m[2][0] * m[0][1], b4 = m[1][2] * m[3][3] - m[3][2] * m[1][3];
    T a2 = m[0][0] * m[3][1] - m[3][0] * m[0][1], b3 = m[1][2] * m[2][3] - m[2][2] * m[1][3];
    T a3 = m[1][0] * m[2][1] - m[2][0] * m[1][1], b2 = m[0][2] * m[3][3] - m[3][2] * m[0][3];
    T a4 = m[1][0] * m[3][1] - m[3][0] * m[1][1], b1 = m[0][2] * m[2][3] - m[2][2] * m[0][3];
    T a5 = m[2][0] * m[3][1] - m[3][0] * m[2][1], b0 = m[0][2] * m[1][3] - m[1][2] * m[0][3];
    return a0 * b5 - a1 * b4 + a2 * b3 + a3 * b2 - a4 * b1 + a5 * b0;
}

} // namespace metal

using metal::matrix;
#define PYMETAL_MATRICES(T)                                                                        \
    typedef metal::matrix<T, 2, 2> T##2x2;                                                         \
    typedef metal::matrix<T, 2, 3> T##2x3;                                                         \
    typedef metal::matrix<T, 2, 4> T##2x4;                                                         \
    typedef metal::matrix<T, 3, 2> T##3x2;                                                         \
    typedef metal::matrix<T, 3, 3> T##3x3;                                                         \
    typedef metal::matrix<T, 3, 4> T##3x4;                                                         \
    typedef metal::matrix<T, 4, 2> T##4x2;                                                         \
    typedef metal::matrix<T, 4, 3> T##4x3;                                                         \
    typedef metal::matrix<T, 4, 4> T##4x4;                                                         \
    namespace metal {                                                                              \
    using ::T##2x2;                                                                                \
    using ::T##2x3;                                                                                \
    using ::T##2x4;                                                                                \
    using ::T##3x2;                                                                                \
    using ::T##3x3;                                                                                \
    using ::T##3x4;                                                                                \
    using ::T##4x2;                                                                                \
    using ::T##4x3;                                                                                \
    using ::T##4x4;                                                                                \
    }
PYMETAL_MATRICES(float)
PYMETAL_MATRICES(half)
#undef PYMETAL_MATRICES
