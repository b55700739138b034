// Type traits: <metal_type_traits>. Metal Shading Language Specification, section 2.21.
// Traits that C++17 has answer as it says; Metal's own (is_vector, make_scalar, ...) follow.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

namespace metal {

// ---- building blocks --------------------------------------------------------------------------

template <class T, T v>
struct integral_constant {
    static constexpr T value = v;
    typedef T value_type;
    typedef integral_constant type;
    constexpr operator T() const { return v; }
    constexpr T operator()() const { return v; }
};
template <bool b>
using bool_constant = integral_constant<bool, b>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;

template <class T>
struct type_identity {
    typedef T type;
};
template <class T>
using type_identity_t = typename type_identity<T>::type;

template <bool b, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> : type_identity<T> {};
template <bool b, class T = void>
using enable_if_t = typename enable_if<b, T>::type;

template <bool b, class T, class F>
struct conditional : type_identity<T> {};
template <class T, class F>
struct conditional<false, T, F> : type_identity<F> {};
template <bool b, class T, class F>
using conditional_t = typename conditional<b, T, F>::type;

template <class... B>
struct conjunction : bool_constant<(bool(B::value) && ...)> {};
template <class... B>
struct disjunction : bool_constant<(bool(B::value) || ...)> {};
template <class B>
struct negation : bool_constant<!bool(B::value)> {};
// Apple's older names, which public kernels use.
template <class... B>
using _conjunction = conjunction<B...>;
template <class... B>
using _disjunction = disjunction<B...>;
template <class B>
using _negation = negation<B>;

// ---- changing a type --------------------------------------------------------------------------

#define PYMETAL_CHANGE(name, From, To)                                                             \
    template <class T>                                                                             \
    struct name : type_identity<T> {};                                                             \
    template <class T>                                                                             \
    struct name<From> : type_identity<To> {};
PYMETAL_CHANGE(remove_const, const T, T)
PYMETAL_CHANGE(remove_volatile, volatile T, T)
PYMETAL_CHANGE(remove_reference, T&, T)
template <class T>
struct remove_reference<T&&> : type_identity<T> {};
PYMETAL_CHANGE(remove_pointer, T*, T)
template <class T>
struct remove_pointer<T* const> : type_identity<T> {};
PYMETAL_CHANGE(remove_extent, T[], T)
template <class T, size_t n>
struct remove_extent<T[n]> : type_identity<T> {};
#undef PYMETAL_CHANGE
template <class T>
struct remove_cv : remove_const<typename remove_volatile<T>::type> {};
// Address spaces are words of the source only: no type carries one here.
template <class T>
struct remove_address_space : type_identity<T> {};
template <class T>
struct remove_addrspace : type_identity<T> {};
template <class T>
struct remove_cvref : remove_cv<typename remove_reference<T>::type> {};
template <class T>
struct add_const : type_identity<const T> {};
template <class T>
struct add_volatile : type_identity<volatile T> {};
template <class T>
struct add_cv : type_identity<const volatile T> {};
template <class T>
struct add_lvalue_reference : type_identity<T&> {};
template <class T>
struct add_rvalue_reference : type_identity<T&&> {};
template <class T>
struct add_pointer : type_identity<__add_pointer(T)> {};
template <class T>
struct decay : type_identity<__decay(T)> {};
template <class T>
struct make_signed : type_identity<__make_signed(T)> {};
template <class T, int N>
struct make_signed<vec<T, N>> : type_identity<vec<__make_signed(T), N>> {};
template <class T>
struct make_unsigned : type_identity<__make_unsigned(T)> {};
template <class T, int N>
struct make_unsigned<vec<T, N>> : type_identity<vec<__make_unsigned(T), N>> {};
template <class T>
struct underlying_type : type_identity<__underlying_type(T)> {};
template <class... T>
struct common_type;
template <class T>
struct common_type<T> : type_identity<T> {};
template <class T, class U, class... Rest>
struct common_type<T, U, Rest...> : common_type<decltype(true ? T() : U()), Rest...> {};

#define PYMETAL_TYPE(name)                                                                         \
    template <class T>                                                                             \
    using name##_t = typename name<T>::type;
PYMETAL_TYPE(remove_const)
PYMETAL_TYPE(remove_volatile)
PYMETAL_TYPE(remove_cv)
PYMETAL_TYPE(remove_reference)
PYMETAL_TYPE(remove_cvref)
PYMETAL_TYPE(remove_pointer)
PYMETAL_TYPE(remove_extent)
PYMETAL_TYPE(remove_address_space)
PYMETAL_TYPE(remove_addrspace)
PYMETAL_TYPE(add_const)
PYMETAL_TYPE(add_volatile)
PYMETAL_TYPE(add_cv)
PYMETAL_TYPE(add_lvalue_reference)
PYMETAL_TYPE(add_rvalue_reference)
PYMETAL_TYPE(add_pointer)
PYMETAL_TYPE(decay)
PYMETAL_TYPE(make_signed)
PYMETAL_TYPE(make_unsigned)
PYMETAL_TYPE(underlying_type)
#undef PYMETAL_TYPE
template <class... T>
using common_type_t = typename common_type<T...>::type;

template <class T>
T&& declval();

// ---- asking about a type ----------------------------------------------------------------------

// NAME<T>::value and NAME_v<T>.
#define PYMETAL_ASK(name, answer)                                                                  \
    template <class T>                                                                             \
    struct name : bool_constant<(answer)> {};                                                      \
    template <class T>                                                                             \
    inline constexpr bool name##_v = (answer);
#define PYMETAL_ASK_2(name, answer)                                                                \
    template <class T, class U>                                                                    \
    struct name : bool_constant<(answer)> {};                                                      \
    template <class T, class U>                                                                    \
    inline constexpr bool name##_v = (answer);
PYMETAL_ASK(is_void, __is_void(T))
// Of vectors too: public kernels restrict functions of int4 by it.
PYMETAL_ASK(is_integral, __is_integral(typename pymetal::vector_traits<remove_cv_t<T>>::element))
PYMETAL_ASK(is_floating_point, pymetal::is_scalar<remove_cv_t<T>> && !__is_integral(T))
PYMETAL_ASK(is_arithmetic, pymetal::is_scalar<remove_cv_t<T>>)
PYMETAL_ASK(is_fundamental, pymetal::is_scalar<remove_cv_t<T>> || __is_void(T))
PYMETAL_ASK(is_scalar, pymetal::is_scalar<remove_cv_t<T>> || __is_enum(T) || __is_pointer(T))
PYMETAL_ASK(is_array, __is_array(T))
PYMETAL_ASK(is_pointer, __is_pointer(T))
PYMETAL_ASK(is_lvalue_reference, __is_lvalue_reference(T))
PYMETAL_ASK(is_rvalue_reference, __is_rvalue_reference(T))
PYMETAL_ASK(is_reference, __is_reference(T))
PYMETAL_ASK(is_enum, __is_enum(T))
PYMETAL_ASK(is_union, __is_union(T))
PYMETAL_ASK(is_class, __is_class(T))
PYMETAL_ASK(is_function, __is_function(T))
PYMETAL_ASK(is_object, __is_object(T))
PYMETAL_ASK(is_compound, __is_compound(T))
PYMETAL_ASK(is_const, __is_const(T))
PYMETAL_ASK(is_volatile, __is_volatile(T))
PYMETAL_ASK(is_trivial, __is_trivial(T))
PYMETAL_ASK(is_trivially_copyable, __is_trivially_copyable(T))
PYMETAL_ASK(is_standard_layout, __is_standard_layout(T))
PYMETAL_ASK(is_pod, __is_pod(T))
PYMETAL_ASK(is_literal_type, __is_literal(T))
PYMETAL_ASK(is_polymorphic, __is_polymorphic(T))
PYMETAL_ASK(is_abstract, __is_abstract(T))
PYMETAL_ASK(is_final, __is_final(T))
PYMETAL_ASK(is_aggregate, __is_aggregate(T))
PYMETAL_ASK(is_signed, pymetal::is_scalar<remove_cv_t<T>> && !__is_unsigned(T))
PYMETAL_ASK(is_unsigned, __is_unsigned(T))
PYMETAL_ASK(is_default_constructible, __is_constructible(T))
PYMETAL_ASK(is_copy_constructible, __is_constructible(T, const T&))
PYMETAL_ASK(is_move_constructible, __is_constructible(T, T&&))
PYMETAL_ASK(is_copy_assignable, __is_assignable(T&, const T&))
PYMETAL_ASK(is_move_assignable, __is_assignable(T&, T&&))
PYMETAL_ASK(is_trivially_default_constructible, __is_trivially_constructible(T))
PYMETAL_ASK(is_trivially_copy_constructible, __is_trivially_constructible(T, const T&))
PYMETAL_ASK(is_trivially_destructible, __is_trivially_destructible(T))
PYMETAL_ASK(is_destructible, __is_destructible(T))
PYMETAL_ASK_2(is_same, __is_same(T, U))
PYMETAL_ASK_2(is_base_of, __is_base_of(T, U))
PYMETAL_ASK_2(is_convertible, __is_convertible_to(T, U))
PYMETAL_ASK_2(is_assignable, __is_assignable(T, U))
template <class T, class... A>
struct is_constructible : bool_constant<__is_constructible(T, A...)> {};
template <class T, class... A>
inline constexpr bool is_constructible_v = __is_constructible(T, A...);
template <class... B>
inline constexpr bool conjunction_v = conjunction<B...>::value;
template <class... B>
inline constexpr bool disjunction_v = disjunction<B...>::value;
template <class B>
inline constexpr bool negation_v = !bool(B::value);
template <class T>
struct alignment_of : integral_constant<size_t, alignof(T)> {};
template <class T>
inline constexpr size_t alignment_of_v = alignof(T);
template <class T>
struct rank : integral_constant<size_t, __array_rank(T)> {};
template <class T>
inline constexpr size_t rank_v = __array_rank(T);
template <class T, unsigned n = 0>
struct extent : integral_constant<size_t, __array_extent(T, n)> {};
template <class T, unsigned n = 0>
inline constexpr size_t extent_v = __array_extent(T, n);

// ---- Metal's own ------------------------------------------------------------------------------

PYMETAL_ASK(is_vector, pymetal::vector_traits<remove_cv_t<T>>::lanes > 1)
PYMETAL_ASK(is_packed_vector, false)
template <class T, int N>
struct is_packed_vector<packed_vec<T, N>> : true_type {};
template <class T, int N>
inline constexpr bool is_packed_vector_v<packed_vec<T, N>> = true;
#undef PYMETAL_ASK
#undef PYMETAL_ASK_2

// The element type of a vector; a scalar is its own.
template <class T>
struct make_scalar : type_identity<typename pymetal::vector_traits<remove_cv_t<T>>::element> {};
template <class T>
using make_scalar_t = typename make_scalar<T>::type;
template <class T, int N>
struct make_vector : type_identity<pymetal::vector_of<T, N>> {};
template <class T, int N>
using make_vector_t = typename make_vector<T, N>::type;
template <class T>
struct vec_element : make_scalar<T> {};
template <class T>
using vec_element_t = typename vec_element<T>::type;
template <class T>
struct vec_elements : integral_constant<int, pymetal::vector_traits<remove_cv_t<T>>::lanes> {};
template <class T>
inline constexpr int vec_elements_v = vec_elements<T>::value;

// ---- moving values ----------------------------------------------------------------------------
// Not `forward` and `void_t`: public kernels define those themselves.

template <class T>
METAL_FUNC constexpr remove_reference_t<T>&& move(T&& x) {
    return static_cast<remove_reference_t<T>&&>(x);
}
template <class T>
METAL_FUNC void swap(T& a, T& b) {
    T t = a;
    a = b;
    b = t;
}

} // namespace metal
