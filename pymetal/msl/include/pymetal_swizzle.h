// Swizzles and lane names of the vectors that are classes: packed ones and those of bool. Part of
// pymetal_language.h.
#pragma once
#pragma clang system_header
#include "pymetal_types.h"

namespace pymetal {

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
// clang-format off: it moves these lists about anew on every run
#define PYMETAL_LANES_2(a, b)                                                                      \
    struct {                                                                                       \
        T a, b;                                                                                    \
    };                                                                                             \
    PYMETAL_2_1(a, b, a, 0)                                                                        \
    PYMETAL_2_1(a, b, b, 1)                                                                        \
    PYMETAL_2_2(a, b, a, 0)                                                                        \
    PYMETAL_2_2(a, b, b, 1)                                                                        \
    PYMETAL_2_3(a, b, a, 0)                                                                        \
    PYMETAL_2_3(a, b, b, 1)
#define PYMETAL_LANES_3(a, b, c)                                                                   \
    struct {                                                                                       \
        T a, b, c;                                                                                 \
    };                                                                                             \
    PYMETAL_3_1(a, b, c, a, 0)                                                                     \
    PYMETAL_3_1(a, b, c, b, 1)                                                                     \
    PYMETAL_3_1(a, b, c, c, 2)                                                                     \
    PYMETAL_3_2(a, b, c, a, 0)                                                                     \
    PYMETAL_3_2(a, b, c, b, 1)                                                                     \
    PYMETAL_3_2(a, b, c, c, 2)                                                                     \
    PYMETAL_3_3(a, b, c, a, 0)                                                                     \
    PYMETAL_3_3(a, b, c, b, 1)                                                                     \
    PYMETAL_3_3(a, b, c, c, 2)
#define PYMETAL_LANES_4(a, b, c, d)                                                                \
    struct {                                                                                       \
        T a, b, c, d;                                                                              \
    };                                                                                             \
    PYMETAL_4_1(a, b, c, d, a, 0)                                                                  \
    PYMETAL_4_1(a, b, c, d, b, 1)                                                                  \
    PYMETAL_4_1(a, b, c, d, c, 2)                                                                  \
    PYMETAL_4_1(a, b, c, d, d, 3)                                                                  \
    PYMETAL_4_2(a, b, c, d, a, 0)                                                                  \
    PYMETAL_4_2(a, b, c, d, b, 1)                                                                  \
    PYMETAL_4_2(a, b, c, d, c, 2)                                                                  \
    PYMETAL_4_2(a, b, c, d, d, 3)                                                                  \
    PYMETAL_4_3(a, b, c, d, a, 0)                                                                  \
    PYMETAL_4_3(a, b, c, d, b, 1)                                                                  \
    PYMETAL_4_3(a, b, c, d, c, 2)                                                                  \
    PYMETAL_4_3(a, b, c, d, d, 3)
// clang-format on

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

} // namespace pymetal
