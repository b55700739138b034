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
#include "pymetal_class_vectors.h"
#include "pymetal_construct.h"
#include "pymetal_types.h"

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
