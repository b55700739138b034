// Scalars, the vector type and what the other headers ask of types. Part of pymetal_language.h.
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
} // namespace pymetal
