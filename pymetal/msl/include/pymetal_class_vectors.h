// Packed vectors and vectors of bool. Part of pymetal_language.h.
#pragma once
#pragma clang system_header
#include "pymetal_construct.h"
#include "pymetal_swizzle.h"

namespace pymetal {

// A vector of bool: one byte a lane. What a comparison of vectors yields converts to it.
template <int N>
struct alignas(N == 3 ? 4 : N) bool_vector : named_lanes<bool, N> {
    typedef named_lanes<bool, N> base;
    using base::all;
    bool_vector() = default;
    bool_vector(const bool_vector&) = default;
    template <class T, typename enable_if<is_scalar<T>, int>::type = 0>
    constexpr bool_vector(T b) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = b != (T)0;
    }
    template <class T, typename enable_if<__is_integral(T), int>::type = 0>
    constexpr bool_vector(vec<T, N> mask) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = mask[i] != 0;
    }
    template <class T, typename enable_if<!__is_integral(T), int>::type = 0>
    explicit constexpr bool_vector(vec<T, N> v) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = v[i] != (T)0;
    }
    template <class A, class B, class... C, fills<N, A, B, C...> = 0>
    constexpr bool_vector(const A& a, const B& b, const C&... c) : bool_vector(false) {
        int at = 0;
        put(*this, at, a);
        put(*this, at, b);
        (put(*this, at, c), ...);
    }
    constexpr bool_vector& operator=(const bool_vector& m) {
        for (int i = 0; i < N; i++)
            all[i] = m.all[i];
        return *this;
    }
    constexpr bool& operator[](int i) { return all[i]; }
    constexpr bool operator[](int i) const { return all[i]; }
    constexpr operator vec<bool, N>() const {
        vec<bool, N> m = false;
        for (int i = 0; i < N; i++)
            m[i] = all[i];
        return m;
    }
    constexpr bool_vector operator!() const {
        bool_vector m = *this;
        for (int i = 0; i < N; i++)
            m.all[i] = !all[i];
        return m;
    }
    constexpr bool_vector operator~() const { return !*this; }
#define PYMETAL_OPERATOR(op)                                                                       \
    friend constexpr bool_vector operator op(bool_vector a, bool_vector b) {                       \
        for (int i = 0; i < N; i++)                                                                \
            a.all[i] = a.all[i] op b.all[i];                                                       \
        return a;                                                                                  \
    }
    PYMETAL_OPERATOR(&&)
    PYMETAL_OPERATOR(||)
    PYMETAL_OPERATOR(&)
    PYMETAL_OPERATOR(|)
    PYMETAL_OPERATOR(^)
    PYMETAL_OPERATOR(==)
    PYMETAL_OPERATOR(!=)
#undef PYMETAL_OPERATOR
    constexpr bool_vector& operator&=(bool_vector m) { return *this = *this & m; }
    constexpr bool_vector& operator|=(bool_vector m) { return *this = *this | m; }
    constexpr bool_vector& operator^=(bool_vector m) { return *this = *this ^ m; }
};

// Lanes that become numbers: true counts as 1, where a mask's lane is -1.
template <class A>
constexpr A mask(A x) {
    return x;
}
template <class T, int N>
constexpr bool_vector<N> mask(vec<T, N> x) {
    return bool_vector<N>(x);
}
} // namespace pymetal

// A packed vector: no padding, aligned as its element. Computing with it makes it a vec.
template <class T, int N>
struct metal::packed_vec : pymetal::named_lanes<T, N> {
    typedef pymetal::named_lanes<T, N> base;
    using base::all;
    typedef pymetal::vector_of<T, N> value;
    packed_vec() = default;
    packed_vec(const packed_vec&) = default;
    constexpr packed_vec(value v) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = v[i];
    }
    constexpr packed_vec(T x) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = x;
    }
    template <class U, typename pymetal::enable_if<!pymetal::same<T, U>, int>::type = 0>
    explicit constexpr packed_vec(vec<U, N> v) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = pymetal::convert_lane<T, U>(v[i]);
    }
    template <class U, typename pymetal::enable_if<!pymetal::same<T, U>, int>::type = 0>
    explicit constexpr packed_vec(packed_vec<U, N> v) : base{} {
        for (int i = 0; i < N; i++)
            all[i] = pymetal::convert_lane<T, U>(v[i]);
    }
    template <int... lane, pymetal::fills<N, pymetal::swizzle<T, lane...>> = 0>
    constexpr packed_vec(const pymetal::swizzle<T, lane...>& s) : packed_vec(s.get()) {}
    template <class A, class B, class... C, pymetal::fills<N, A, B, C...> = 0>
    constexpr packed_vec(const A& a, const B& b, const C&... c) : packed_vec(T(0)) {
        int at = 0;
        pymetal::put(*this, at, a);
        pymetal::put(*this, at, b);
        (pymetal::put(*this, at, c), ...);
    }
    constexpr packed_vec& operator=(const packed_vec& v) {
        for (int i = 0; i < N; i++)
            all[i] = v.all[i];
        return *this;
    }
    constexpr T& operator[](int i) { return all[i]; }
    constexpr const T& operator[](int i) const { return all[i]; }
    constexpr value get() const {
        value v = value(T(0));
        for (int i = 0; i < N; i++)
            v[i] = all[i];
        return v;
    }
    constexpr operator value() const { return get(); }
    constexpr value operator-() const { return -get(); }
    constexpr value operator+() const { return get(); }
    constexpr auto operator!() const { return !get(); }
    constexpr auto operator~() const { return ~get(); }
#define PYMETAL_OPERATOR(op)                                                                       \
    friend constexpr auto operator op(const packed_vec& a, const packed_vec& b) {                  \
        return a.get() op b.get();                                                                 \
    }                                                                                              \
    friend constexpr auto operator op(const packed_vec& a, value b) {                              \
        return a.get() op b;                                                                       \
    }                                                                                              \
    friend constexpr auto operator op(value a, const packed_vec& b) {                              \
        return a op b.get();                                                                       \
    }
#define PYMETAL_ASSIGNMENT(op)                                                                     \
    PYMETAL_OPERATOR(op)                                                                           \
    constexpr packed_vec& operator op## = (value v) {                                              \
        return *this = packed_vec(get() op v);                                                     \
    }
    PYMETAL_ASSIGNMENT(+)
    PYMETAL_ASSIGNMENT(-)
    PYMETAL_ASSIGNMENT(*)
    PYMETAL_ASSIGNMENT(/)
    PYMETAL_ASSIGNMENT(%)
    PYMETAL_ASSIGNMENT(&)
    PYMETAL_ASSIGNMENT(|)
    PYMETAL_ASSIGNMENT(^)
    PYMETAL_ASSIGNMENT(<<)
    PYMETAL_ASSIGNMENT(>>)
    PYMETAL_OPERATOR(==)
    PYMETAL_OPERATOR(!=)
    PYMETAL_OPERATOR(<)
    PYMETAL_OPERATOR(>)
    PYMETAL_OPERATOR(<=)
    PYMETAL_OPERATOR(>=)
    PYMETAL_OPERATOR(&&)
    PYMETAL_OPERATOR(||)
#undef PYMETAL_OPERATOR
#undef PYMETAL_ASSIGNMENT
};
