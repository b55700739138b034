// The part of the Metal language that plain C++ lacks: scalar and vector types, packed and bool
// vectors, conversions, as_type. Metal source is rewritten (pymetal/msl) onto what is here.
//
// For the other headers, which build on this one:
//   Public headers (<metal_stdlib>, <metal_math>, ...) are empty: user source is preprocessed
//     against them. Code sits in pymetal_*.h, all included by "pymetal_stdlib.h", precompiled.
//   device, thread, threadgroup, constant   expand to nothing, nothing, nothing and const.
//   half, bfloat, uint, float4, ...         global, and again in namespace metal.
//   metal::vec<T, N>                        an ext_vector_type: deducible, swizzles, operators.
//   boolN = pymetal::bool_vector<N>         a class, N bytes. Comparisons of vectors yield a mask
//     (int4 of 0 and -1, say), which converts to boolN implicitly: declare any(bool2), any(bool3),
//     any(bool4) and both work. Where a mask's lanes become numbers, write pymetal::mask(a < b).
//   metal::packed_vec<T, N>                 packed_float3 and so on, a class; converts both ways.
//   pymetal::make<V>(x, ...)                V(x, ...): every constructor and conversion of vectors;
//     for a type that is not a vector, plain V(x, ...). Rewritten source calls this.
//   pymetal::convert<T>(x)                  static_cast<T>(x), vectors by value.
//   pymetal::cast_to<T>{}->*x               (T)x, with a cast's precedence.
//   pymetal::list(a, b, ...)                {a, b, ...} as an argument: converts to what is wanted.
//   pymetal::vector_traits<T>               ::element, ::lanes (1 for scalars), ::is_vector; of a
//     packed or bool vector too. pymetal::vector_of<T, N>: vec<T, N>, T if N is 1, boolN for bool.
//   pymetal::is_scalar<T>                   arithmetic types of Metal, bool included.
//   as_type<T>(x)                           same bits.
//   PYMETAL_CONVERGENT, PYMETAL_PURE        attributes for declarations of air.* intrinsics.
#pragma once
#pragma clang system_header

#define device
#define thread
#define threadgroup
#define constant const
#define METAL_FUNC inline __attribute__((always_inline))
#define METAL_INTERNAL inline __attribute__((always_inline))
#define METAL_CONST __attribute__((const))
#define METAL_PURE __attribute__((pure))
#define METAL_ALIGN(n) __attribute__((aligned(n)))
#define PYMETAL_CONVERGENT __attribute__((convergent, nothrow))
#define PYMETAL_PURE __attribute__((const, nothrow))

typedef _Float16 half;
typedef __bf16 bfloat;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef long intptr_t;
typedef unsigned long uintptr_t;

namespace metal {
using ::bfloat;
using ::half;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::intptr_t;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
using ::uintptr_t;
using ::ulong;
using ::ushort;
template <class T, int N>
using vec = T __attribute__((ext_vector_type(N)));
template <class T, int N>
struct packed_vec;
} // namespace metal

namespace pymetal {
using metal::packed_vec;
using metal::vec;

template <int N>
struct bool_vector;
template <class Element, int... lane>
struct swizzle;

// ---- types ------------------------------------------------------------------------------------

template <bool B, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
    typedef T type;
};
template <class A, class B>
inline constexpr bool same = false;
template <class A>
inline constexpr bool same<A, A> = true;
template <class T>
struct plain_type {
    typedef T type;
};
template <class T>
struct plain_type<T&> : plain_type<T> {};
template <class T>
struct plain_type<T&&> : plain_type<T> {};
template <class T>
struct plain_type<const T> : plain_type<T> {};
template <class T>
struct plain_type<volatile T> : plain_type<T> {};
template <class T>
struct plain_type<const volatile T> : plain_type<T> {};
template <class T>
using plain = typename plain_type<T>::type;

template <class T>
inline constexpr bool is_scalar =
    __is_integral(T) || same<T, float> || same<T, half> || same<T, bfloat>;

template <class T>
struct vector_traits {
    typedef T element;
    static constexpr int lanes = 1;
    static constexpr bool is_vector = false; // an ext_vector_type
    static constexpr bool is_class = false;  // packed, bool vector or swizzle of one
};
template <class T, int N>
struct vector_traits<vec<T, N>> {
    typedef T element;
    static constexpr int lanes = N;
    static constexpr bool is_vector = true;
    static constexpr bool is_class = false;
};
template <class T, int N>
struct vector_traits<packed_vec<T, N>> {
    typedef T element;
    static constexpr int lanes = N;
    static constexpr bool is_vector = false;
    static constexpr bool is_class = true;
};
template <int N>
struct vector_traits<bool_vector<N>> {
    typedef bool element;
    static constexpr int lanes = N;
    static constexpr bool is_vector = false;
    static constexpr bool is_class = true;
};
template <class T, int... lane>
struct vector_traits<swizzle<T, lane...>> {
    typedef T element;
    static constexpr int lanes = sizeof...(lane);
    static constexpr bool is_vector = false;
    static constexpr bool is_class = true;
};

template <class T, int N>
struct vector_type {
    typedef vec<T, N> type;
};
template <class T>
struct vector_type<T, 1> {
    typedef T type;
};
template <int N>
struct vector_type<bool, N> {
    typedef bool_vector<N> type;
};
template <>
struct vector_type<bool, 1> {
    typedef bool type;
};
template <class T, int N>
using vector_of = typename vector_type<T, N>::type;

// Reflection: clang prints "... [T = name]" here, once for each instance of a template.
template <class T>
constexpr const char* type_name() {
    return __PRETTY_FUNCTION__;
}
template <class T>
constexpr int size_of() {
    if constexpr (same<plain<T>, void>)
        return 1;
    else
        return sizeof(T);
}
template <class T>
constexpr int align_of() {
    if constexpr (same<plain<T>, void>)
        return 1;
    else
        return alignof(T);
}
template <class T>
struct bare_type : plain_type<T> {};
template <class T, int N>
struct bare_type<T[N]> : bare_type<T> {};
template <class T, int N>
struct bare_type<const T[N]> : bare_type<T> {};
// T without qualifiers, reference and array dimensions.
template <class T>
using bare = typename bare_type<T>::type;

// ---- construction and conversion --------------------------------------------------------------

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

template <class V>
constexpr V plain_make() {
    return V();
}
template <class V, class A>
constexpr V plain_make(const A& x) {
    if constexpr (is_scalar<V> && is_scalar<plain<A>>)
        return convert_lane<V, plain<A>>(x);
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
    else
        return static_cast<T>(x);
}
template <class T, class A>
constexpr T c_cast(const A& x) {
    if constexpr (vector_traits<T>::is_vector)
        return from_one<T, plain<A>>(x);
    else if constexpr (is_scalar<T> && is_scalar<plain<A>>)
        return convert_lane<T, plain<A>>(x);
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

// ---- vectors that are classes -----------------------------------------------------------------

// A swizzle such as v.zx of a class vector: a member of a union over all lanes, so it must be
// trivial to construct and copy; but assigning to it writes its own lanes only.
template <int... lane>
constexpr int reach() {
    int most = 0;
    ((most = lane >= most ? lane + 1 : most), ...);
    return most;
}
template <class T, int... lane>
struct swizzle {
    typedef vector_of<T, sizeof...(lane)> value;
    T all[reach<lane...>()];
    swizzle() = default;
    swizzle(const swizzle&) = default;
    constexpr T operator[](int i) const {
        constexpr int at[] = {lane...};
        return all[at[i]];
    }
    constexpr value get() const { return value{all[lane]...}; }
    constexpr operator value() const { return get(); }
    constexpr swizzle& operator=(value v) {
        int i = 0;
        ((all[lane] = v[i++]), ...);
        return *this;
    }
    constexpr swizzle& operator=(const swizzle& s) { return *this = s.get(); }
};
template <class T>
inline constexpr bool is_swizzle = false;
template <class T, int... lane>
inline constexpr bool is_swizzle<swizzle<T, lane...>> = true;
#define PYMETAL_OPERATOR(op)                                                                       \
    template <class T, int... a, class B>                                                          \
    constexpr auto operator op(const swizzle<T, a...>& x, const B& y) {                            \
        return x.get() op y;                                                                       \
    }                                                                                              \
    template <class T, int... a, class B, typename enable_if<!is_swizzle<B>, int>::type = 0>       \
    constexpr auto operator op(const B& y, const swizzle<T, a...>& x) {                            \
        return y op x.get();                                                                       \
    }                                                                                              \
    template <class T, int... a, class B>                                                          \
    constexpr auto& operator op## = (swizzle<T, a...> & x, const B& y) {                           \
        return x = x.get() op y;                                                                   \
    }
PYMETAL_OPERATOR(+)
PYMETAL_OPERATOR(-)
PYMETAL_OPERATOR(*)
PYMETAL_OPERATOR(/)
#undef PYMETAL_OPERATOR
#define PYMETAL_OPERATOR(op)                                                                       \
    template <class T, int... a>                                                                   \
    constexpr auto operator op(const swizzle<T, a...>& x) {                                        \
        return op x.get();                                                                         \
    }
PYMETAL_OPERATOR(-)
PYMETAL_OPERATOR(+)
PYMETAL_OPERATOR(!)
PYMETAL_OPERATOR(~)
#undef PYMETAL_OPERATOR

// The lanes of a class vector under all their names.
template <class T, int N>
struct named_lanes;

#define PYMETAL_NAME(name, ...) swizzle<T, __VA_ARGS__> name;
#define PYMETAL_2_1(a, b, p, ...)                                                                  \
    PYMETAL_NAME(p##a, __VA_ARGS__, 0)                                                             \
    PYMETAL_NAME(p##b, __VA_ARGS__, 1)
#define PYMETAL_2_2(a, b, p, ...)                                                                  \
    PYMETAL_2_1(a, b, p##a, __VA_ARGS__, 0)                                                        \
    PYMETAL_2_1(a, b, p##b, __VA_ARGS__, 1)
#define PYMETAL_2_3(a, b, p, ...)                                                                  \
    PYMETAL_2_2(a, b, p##a, __VA_ARGS__, 0)                                                        \
    PYMETAL_2_2(a, b, p##b, __VA_ARGS__, 1)
#define PYMETAL_3_1(a, b, c, p, ...)                                                               \
    PYMETAL_2_1(a, b, p, __VA_ARGS__)                                                              \
    PYMETAL_NAME(p##c, __VA_ARGS__, 2)
#define PYMETAL_3_2(a, b, c, p, ...)                                                               \
    PYMETAL_3_1(a, b, c, p##a, __VA_ARGS__, 0)                                                     \
    PYMETAL_3_1(a, b, c, p##b, __VA_ARGS__, 1)                                                     \
    PYMETAL_3_1(a, b, c, p##c, __VA_ARGS__, 2)
#define PYMETAL_3_3(a, b, c, p, ...)                                                               \
    PYMETAL_3_2(a, b, c, p##a, __VA_ARGS__, 0)                                                     \
    PYMETAL_3_2(a, b, c, p##b, __VA_ARGS__, 1)                                                     \
    PYMETAL_3_2(a, b, c, p##c, __VA_ARGS__, 2)
#define PYMETAL_4_1(a, b, c, d, p, ...)                                                            \
    PYMETAL_3_1(a, b, c, p, __VA_ARGS__)                                                           \
    PYMETAL_NAME(p##d, __VA_ARGS__, 3)
#define PYMETAL_4_2(a, b, c, d, p, ...)                                                            \
    PYMETAL_4_1(a, b, c, d, p##a, __VA_ARGS__, 0)                                                  \
    PYMETAL_4_1(a, b, c, d, p##b, __VA_ARGS__, 1)                                                  \
    PYMETAL_4_1(a, b, c, d, p##c, __VA_ARGS__, 2)                                                  \
    PYMETAL_4_1(a, b, c, d, p##d, __VA_ARGS__, 3)
#define PYMETAL_4_3(a, b, c, d, p, ...)                                                            \
    PYMETAL_4_2(a, b, c, d, p##a, __VA_ARGS__, 0)                                                  \
    PYMETAL_4_2(a, b, c, d, p##b, __VA_ARGS__, 1)                                                  \
    PYMETAL_4_2(a, b, c, d, p##c, __VA_ARGS__, 2)                                                  \
    PYMETAL_4_2(a, b, c, d, p##d, __VA_ARGS__, 3)
#define PYMETAL_LANES_2(a, b)                                                                      \
    struct {                                                                                       \
        T a, b;                                                                                    \
    };                                                                                             \
    PYMETAL_2_1(a, b, a, 0)                                                                        \
    PYMETAL_2_1(a, b, b, 1) PYMETAL_2_2(a, b, a, 0) PYMETAL_2_2(a, b, b, 1)                        \
        PYMETAL_2_3(a, b, a, 0) PYMETAL_2_3(a, b, b, 1)
#define PYMETAL_LANES_3(a, b, c)                                                                   \
    struct {                                                                                       \
        T a, b, c;                                                                                 \
    };                                                                                             \
    PYMETAL_3_1(a, b, c, a, 0)                                                                     \
    PYMETAL_3_1(a, b, c, b, 1) PYMETAL_3_1(a, b, c, c, 2) PYMETAL_3_2(a, b, c, a, 0)               \
        PYMETAL_3_2(a, b, c, b, 1) PYMETAL_3_2(a, b, c, c, 2) PYMETAL_3_3(a, b, c, a, 0)           \
            PYMETAL_3_3(a, b, c, b, 1) PYMETAL_3_3(a, b, c, c, 2)
#define PYMETAL_LANES_4(a, b, c, d)                                                                \
    struct {                                                                                       \
        T a, b, c, d;                                                                              \
    };                                                                                             \
    PYMETAL_4_1(a, b, c, d, a, 0)                                                                  \
    PYMETAL_4_1(a, b, c, d, b, 1) PYMETAL_4_1(a, b, c, d, c, 2) PYMETAL_4_1(a, b, c, d, d, 3)      \
        PYMETAL_4_2(a, b, c, d, a, 0) PYMETAL_4_2(a, b, c, d, b, 1) PYMETAL_4_2(a, b, c, d, c, 2)  \
            PYMETAL_4_2(a, b, c, d, d, 3) PYMETAL_4_3(a, b, c, d, a, 0)                            \
                PYMETAL_4_3(a, b, c, d, b, 1) PYMETAL_4_3(a, b, c, d, c, 2)                        \
                    PYMETAL_4_3(a, b, c, d, d, 3)

template <class T>
struct named_lanes<T, 2> {
    union {
        T all[2];
        PYMETAL_LANES_2(x, y)
        PYMETAL_LANES_2(r, g)
    };
};
template <class T>
struct named_lanes<T, 3> {
    union {
        T all[3];
        PYMETAL_LANES_3(x, y, z)
        PYMETAL_LANES_3(r, g, b)
    };
};
template <class T>
struct named_lanes<T, 4> {
    union {
        T all[4];
        PYMETAL_LANES_4(x, y, z, w)
        PYMETAL_LANES_4(r, g, b, a)
    };
};

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

// ---- names ------------------------------------------------------------------------------------

// The assertions also instantiate each class here, once, in the precompiled header: its swizzles
// would cost a source that uses one packed vector 100 ms.
#define PYMETAL_VECTORS(T, N)                                                                      \
    typedef metal::vec<T, N> T##N;                                                                 \
    typedef metal::packed_vec<T, N> packed_##T##N;                                                 \
    namespace metal {                                                                              \
    using ::T##N;                                                                                  \
    using ::packed_##T##N;                                                                         \
    }                                                                                              \
    static_assert(sizeof(packed_##T##N) == sizeof(T) * N);
#define PYMETAL_ELEMENT(T) PYMETAL_VECTORS(T, 2) PYMETAL_VECTORS(T, 3) PYMETAL_VECTORS(T, 4)
PYMETAL_ELEMENT(char)
PYMETAL_ELEMENT(uchar)
PYMETAL_ELEMENT(short)
PYMETAL_ELEMENT(ushort)
PYMETAL_ELEMENT(int)
PYMETAL_ELEMENT(uint)
PYMETAL_ELEMENT(long)
PYMETAL_ELEMENT(ulong)
PYMETAL_ELEMENT(half)
PYMETAL_ELEMENT(bfloat)
PYMETAL_ELEMENT(float)
#undef PYMETAL_ELEMENT
#undef PYMETAL_VECTORS
typedef pymetal::bool_vector<2> bool2;
typedef pymetal::bool_vector<3> bool3;
typedef pymetal::bool_vector<4> bool4;
typedef metal::packed_vec<bool, 2> packed_bool2;
typedef metal::packed_vec<bool, 3> packed_bool3;
typedef metal::packed_vec<bool, 4> packed_bool4;
static_assert(sizeof(bool2) == 2 && sizeof(bool3) == 4 && sizeof(bool4) == 4);
static_assert(sizeof(packed_bool2) == 2 && sizeof(packed_bool3) == 3 && sizeof(packed_bool4) == 4);
namespace metal {
using ::bool2;
using ::bool3;
using ::bool4;
using ::packed_bool2;
using ::packed_bool3;
using ::packed_bool4;
} // namespace metal

// The bits of x as another type of the same size.
template <class To, class From>
constexpr To as_type(const From& x) {
    static_assert(sizeof(To) == sizeof(From), "as_type needs types of the same size");
    if constexpr (sizeof(To) == sizeof(From))
        return __builtin_bit_cast(To, x);
}
template <class To, class T, int N>
constexpr To as_type(const metal::packed_vec<T, N>& x) {
    return __builtin_bit_cast(To, x.all);
}
namespace metal {
using ::as_type;
}
