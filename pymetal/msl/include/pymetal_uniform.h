// uniform<T>: <metal_uniform>, a value that is the same for every thread. Metal Shading Language
// Specification, section 2.14. Arithmetic of uniform values is uniform.
#pragma once
#pragma clang system_header
#include "pymetal_type_traits.h"

namespace metal {

template <class T>
struct uniform {
    typedef T value_type;
    uniform() = default;
    METAL_FUNC constexpr uniform(T value) : value_(value) {}
    template <class U>
    METAL_FUNC explicit constexpr uniform(uniform<U> u) : value_((T)(U)u) {}
    METAL_FUNC constexpr operator T() const { return value_; }

  private:
    T value_;
};
template <class T>
METAL_FUNC constexpr uniform<T> make_uniform(T value) {
    return uniform<T>(value);
}
template <class T>
struct is_uniform : false_type {};
template <class T>
struct is_uniform<uniform<T>> : true_type {};
template <class T>
inline constexpr bool is_uniform_v = is_uniform<T>::value;

#define PYMETAL_UNIFORM(op)                                                                        \
    template <class A, class B>                                                                    \
    METAL_FUNC constexpr uniform<decltype(A() op B())> operator op(uniform<A> a, uniform<B> b) {   \
        return (A)a op(B) b;                                                                       \
    }
PYMETAL_UNIFORM(+)
PYMETAL_UNIFORM(-)
PYMETAL_UNIFORM(*)
PYMETAL_UNIFORM(/)
PYMETAL_UNIFORM(%)
PYMETAL_UNIFORM(&)
PYMETAL_UNIFORM(|)
PYMETAL_UNIFORM(^)
PYMETAL_UNIFORM(<<)
PYMETAL_UNIFORM(>>)
PYMETAL_UNIFORM(==)
PYMETAL_UNIFORM(!=)
PYMETAL_UNIFORM(<)
PYMETAL_UNIFORM(<=)
PYMETAL_UNIFORM(>)
PYMETAL_UNIFORM(>=)
#undef PYMETAL_UNIFORM

} // namespace metal
