// Vector constructors, conversions and casts, as rewritten source calls them. Part of
// pymetal_language.h.
#pragma once
#pragma clang system_header
#include "pymetal_types.h"

namespace pymetal {

// Lane to lane. bfloat and half have no direct instruction between them: both fit in float.
template <class To, class From>
constexpr To convert_lane(From x) {
    if constexpr ((same<To, bfloat> && same<From, half>) || (same<To, half> && same<From, bfloat>))
        return (To)(float)x;
    else if constexpr (same<To, bool>)
        return x != (From)0;
    else
        return (To)x;
}

template <class To, class From, int N>
constexpr vec<To, N> convert_lanes(vec<From, N> x) {
    if constexpr (same<To, From>)
        return x;
    else if constexpr ((same<To, bfloat> && same<From, half>) ||
                       (same<To, half> && same<From, bfloat>))
        return __builtin_convertvector(__builtin_convertvector(x, vec<float, N>), vec<To, N>);
    else
        return __builtin_convertvector(x, vec<To, N>);
}

template <class T>
inline constexpr bool is_composite = vector_traits<T>::is_vector || vector_traits<T>::is_class;

// How many lanes an argument of a vector constructor fills.
template <class T>
constexpr int lanes_of() {
    return vector_traits<T>::lanes;
}

// An int if arguments of these types fill N lanes: enables a constructor.
template <int N, class... A>
using fills = typename enable_if<(lanes_of<plain<A>>() + ...) == N, int>::type;

template <class V, class A>
constexpr void put(V& out, int& at, const A& x) {
    typedef typename vector_traits<V>::element E;
    if constexpr (vector_traits<A>::is_vector || vector_traits<A>::is_class) {
        for (int i = 0; i < vector_traits<A>::lanes; i++)
            out[at++] = convert_lane<E, typename vector_traits<A>::element>(x[i]);
    } else if constexpr (is_scalar<A>) {
        out[at++] = convert_lane<E, A>(x);
    } else {
        static_assert(__is_constructible(E, A), "a vector constructor takes numbers and vectors");
        if constexpr (__is_constructible(E, A))
            out[at++] = (E)x;
    }
}

template <class V, class... A>
constexpr V gather(const A&... x) {
    static_assert((lanes_of<A>() + ...) == vector_traits<V>::lanes,
                  "the arguments of a vector constructor must fill its lanes exactly");
    if constexpr ((is_scalar<A> && ...))
        return V{convert_lane<typename vector_traits<V>::element, A>(x)...};
    V out = V(0);
    int at = 0;
    (put<V>(out, at, x), ...);
    return out;
}

template <class V, class A>
constexpr V from_one(const A& x) {
    typedef typename vector_traits<V>::element E;
    constexpr int lanes = vector_traits<V>::lanes;
    if constexpr (vector_traits<A>::is_vector && vector_traits<A>::lanes == lanes)
        return convert_lanes<E, typename vector_traits<A>::element, lanes>(x);
    else if constexpr (is_composite<A>)
        return gather<V, A>(x);
    else if constexpr (is_scalar<A>)
        return (V)convert_lane<E, A>(x);
    else if constexpr (__is_convertible_to(A, V) && !__is_convertible_to(A, E))
        return x;
    else if constexpr (__is_constructible(E, A))
        return (V)(E)x;
    else
        static_assert(__is_constructible(E, A), "a vector constructor takes numbers and vectors");
}

// Arguments come by const reference, but a class may convert by an operator that is not const.
template <class T, class A>
inline constexpr bool needs_mutable = !__is_constructible(T, const A&) && __is_constructible(T, A&);

template <class V>
constexpr V plain_make() {
    return V();
}
template <class V, class A>
constexpr V plain_make(const A& x) {
    if constexpr (is_scalar<V> && is_scalar<plain<A>>)
        return convert_lane<V, plain<A>>(x);
    else if constexpr (needs_mutable<V, A>)
        return V(const_cast<A&>(x));
    else
        return V(x);
}
template <class V, class A, class B, class... C>
constexpr V plain_make(const A& a, const B& b, const C&... c) {
    return V(a, b, c...);
}

// By const reference, which a vector's element or a bit-field can be bound to.
template <class V, class... A>
constexpr V make(const A&... x) {
    if constexpr (!vector_traits<V>::is_vector)
        return plain_make<V>(x...);
    else if constexpr (sizeof...(A) == 0)
        return V(0);
    else if constexpr (sizeof...(A) == 1)
        return from_one<V, plain<A>...>(x...);
    else
        return gather<V, plain<A>...>(x...);
}

template <class T, class A>
constexpr T convert(const A& x) {
    if constexpr (vector_traits<T>::is_vector)
        return from_one<T, plain<A>>(x);
    else if constexpr (is_scalar<T> && is_scalar<plain<A>>)
        return convert_lane<T, plain<A>>(x);
    else if constexpr (needs_mutable<T, A>)
        return static_cast<T>(const_cast<A&>(x));
    else
        return static_cast<T>(x);
}
template <class T, class A>
constexpr T c_cast(const A& x) {
    if constexpr (vector_traits<T>::is_vector)
        return from_one<T, plain<A>>(x);
    else if constexpr (is_scalar<T> && is_scalar<plain<A>>)
        return convert_lane<T, plain<A>>(x);
    else if constexpr (needs_mutable<T, A>)
        return (T) const_cast<A&>(x);
    else
        return (T)x;
}

// (T)x is written cast_to<T>{}->*x. What stands before the cast, (U)(T)x or -(T)x, would reach
// cast_to<T>{} first; it is kept there and applied after the conversion.
template <class T>
struct cast_to;
template <class T, class F>
struct cast_then {
    F after;
    template <class A>
    constexpr auto operator->*(const A& x) const {
        return after(c_cast<T>(x));
    }
};
template <class T, class F>
constexpr cast_then<T, F> and_then(cast_to<T>, F after) {
    return {after};
}
template <class T>
struct cast_to {
    template <class A>
    constexpr T operator->*(const A& x) const {
        return c_cast<T>(x);
    }
    template <class U>
    constexpr auto operator->*(cast_to<U> inner) const {
        return and_then(inner, [](U x) { return c_cast<T>(x); });
    }
    template <class U, class F>
    constexpr auto operator->*(cast_then<U, F> inner) const {
        return and_then(cast_to<U>{}, [inner](U x) { return c_cast<T>(inner.after(x)); });
    }
};
template <class T>
constexpr auto operator-(cast_to<T> c) {
    return and_then(c, [](T x) { return -x; });
}
template <class T>
constexpr auto operator+(cast_to<T> c) {
    return and_then(c, [](T x) { return +x; });
}
template <class T>
constexpr auto operator~(cast_to<T> c) {
    return and_then(c, [](T x) { return ~x; });
}
template <class T>
constexpr auto operator!(cast_to<T> c) {
    return and_then(c, [](T x) { return !x; });
}

template <class T>
struct type_tag {
    typedef T type;
};
template <class F>
struct braced {
    F build;
    template <class T>
    constexpr operator T() const {
        return build(type_tag<T>{});
    }
};
template <class F>
braced(F) -> braced<F>;
template <class... A>
constexpr auto list(const A&... x) {
    return braced{[=](auto tag) {
        typedef typename decltype(tag)::type T;
        if constexpr (vector_traits<T>::is_vector)
            return make<T>(x...);
        else
            return T{x...};
    }};
}

// v++ and ++v, which clang refuses on vectors.
template <class T>
constexpr T add_after(T& x, int step) {
    T old = x;
    x = x + (T)step;
    return old;
}
template <class T>
constexpr T& add_before(T& x, int step) {
    return x = x + (T)step;
}

} // namespace pymetal
