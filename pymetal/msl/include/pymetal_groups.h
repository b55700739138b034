// What <metal_simdgroup> and <metal_quadgroup> share: the same functions over 32 or 4 lanes.
// A vector is taken lane by lane: engines know scalars only.
#pragma once
#pragma clang system_header
#include "pymetal_air.h"
#include "pymetal_type_traits.h"

namespace pymetal {

// What may cross lanes: an integer or floating-point type, or a vector of one; neither bool nor 64
// bits may (table 6.14 of the specification).
template <class T>
inline constexpr bool crosses_lanes =
    (is_scalar<T> && !same<T, bool> && sizeof(T) <= 4) ||
    (vector_traits<T>::is_vector && vector_traits<T>::lanes <= 4 &&
     sizeof(typename vector_traits<T>::element) <= 4);
template <class T>
inline constexpr bool crosses_lanes_as_bits =
    crosses_lanes<T> && __is_integral(typename vector_traits<T>::element);

// char travels as what it is here: signed char.
template <class T>
METAL_FUNC T air_value(T x) {
    return x;
}
METAL_FUNC signed char air_value(char x) {
    return x;
}

} // namespace pymetal

// group: simd or quad; name: of the function; then its parameters after the data.
#define PYMETAL_GROUP_FUNCTION(group, name, supported, parameters, arguments)                      \
    template <class T, enable_if_t<pymetal::supported<T>, int> = 0>                                \
    METAL_FUNC PYMETAL_CONVERGENT T group##_##name parameters {                                    \
        using pymetal::air_value;                                                                  \
        if constexpr (!pymetal::vector_traits<T>::is_vector) {                                     \
            return pymetal::air::group##_##name arguments(data, fill);                             \
        } else {                                                                                   \
            T result;                                                                              \
            result.x = pymetal::air::group##_##name arguments(data.x, fill.x);                     \
            result.y = pymetal::air::group##_##name arguments(data.y, fill.y);                     \
            if constexpr (pymetal::vector_traits<T>::lanes > 2)                                    \
                result.z = pymetal::air::group##_##name arguments(data.z, fill.z);                 \
            if constexpr (pymetal::vector_traits<T>::lanes > 3)                                    \
                result.w = pymetal::air::group##_##name arguments(data.w, fill.w);                 \
            return result;                                                                         \
        }                                                                                          \
    }
#define PYMETAL_DATA(data, fill) (air_value(data))
#define PYMETAL_DATA_LANE(data, fill) (air_value(data), lane)
#define PYMETAL_DATA_FILL(data, fill) (air_value(data), air_value(fill), delta, modulo)
#define PYMETAL_GROUP_OF_DATA(group, name, supported)                                              \
    PYMETAL_GROUP_FUNCTION(group, name, supported, (T data), PYMETAL_DATA)
#define PYMETAL_GROUP_OF_LANE(group, name)                                                         \
    PYMETAL_GROUP_FUNCTION(group, name, crosses_lanes, (T data, ushort lane), PYMETAL_DATA_LANE)
#define PYMETAL_GROUP_OF_FILL(group, name, size)                                                   \
    PYMETAL_GROUP_FUNCTION(group, name, crosses_lanes,                                             \
                           (T data, T fill, ushort delta, ushort modulo = size),                   \
                           PYMETAL_DATA_FILL)

#define PYMETAL_GROUP_FUNCTIONS(group, size)                                                       \
    PYMETAL_GROUP_OF_DATA(group, sum, crosses_lanes)                                               \
    PYMETAL_GROUP_OF_DATA(group, product, crosses_lanes)                                           \
    PYMETAL_GROUP_OF_DATA(group, min, crosses_lanes)                                               \
    PYMETAL_GROUP_OF_DATA(group, max, crosses_lanes)                                               \
    PYMETAL_GROUP_OF_DATA(group, and, crosses_lanes_as_bits)                                       \
    PYMETAL_GROUP_OF_DATA(group, or, crosses_lanes_as_bits)                                        \
    PYMETAL_GROUP_OF_DATA(group, xor, crosses_lanes_as_bits)                                       \
    PYMETAL_GROUP_OF_DATA(group, prefix_inclusive_sum, crosses_lanes)                              \
    PYMETAL_GROUP_OF_DATA(group, prefix_exclusive_sum, crosses_lanes)                              \
    PYMETAL_GROUP_OF_DATA(group, prefix_inclusive_product, crosses_lanes)                          \
    PYMETAL_GROUP_OF_DATA(group, prefix_exclusive_product, crosses_lanes)                          \
    PYMETAL_GROUP_OF_DATA(group, broadcast_first, crosses_lanes)                                   \
    PYMETAL_GROUP_OF_LANE(group, broadcast)                                                        \
    PYMETAL_GROUP_OF_LANE(group, shuffle)                                                          \
    PYMETAL_GROUP_OF_LANE(group, shuffle_up)                                                       \
    PYMETAL_GROUP_OF_LANE(group, shuffle_down)                                                     \
    PYMETAL_GROUP_OF_LANE(group, shuffle_xor)                                                      \
    PYMETAL_GROUP_OF_LANE(group, shuffle_rotate_up)                                                \
    PYMETAL_GROUP_OF_LANE(group, shuffle_rotate_down)                                              \
    PYMETAL_GROUP_OF_FILL(group, shuffle_and_fill_up, size)                                        \
    PYMETAL_GROUP_OF_FILL(group, shuffle_and_fill_down, size)                                      \
    METAL_FUNC PYMETAL_CONVERGENT bool group##_all(bool expr) {                                    \
        return pymetal::air::group##_all(expr);                                                    \
    }                                                                                              \
    METAL_FUNC PYMETAL_CONVERGENT bool group##_any(bool expr) {                                    \
        return pymetal::air::group##_any(expr);                                                    \
    }                                                                                              \
    METAL_FUNC PYMETAL_CONVERGENT bool group##_is_first() {                                        \
        return pymetal::air::group##_is_first();                                                   \
    }                                                                                              \
    METAL_FUNC PYMETAL_CONVERGENT group##_vote group##_ballot(bool expr) {                         \
        return group##_vote((group##_vote::vote_t)pymetal::air::group##_ballot(expr));             \
    }                                                                                              \
    METAL_FUNC PYMETAL_CONVERGENT group##_vote group##_active_threads_mask() {                     \
        return group##_vote((group##_vote::vote_t)pymetal::air::group##_active_threads_mask());    \
    }
