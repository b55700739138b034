// Limits and constants: <metal_limits>, and the constants of <metal_math> (Metal Shading Language
// Specification, tables 6.5 to 6.7). The C names (FLT_MAX, INT_MAX) are here too.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

#define CHAR_BIT 8
#define SCHAR_MAX 127
#define SCHAR_MIN (-127 - 1)
#define UCHAR_MAX 255
#define CHAR_MAX SCHAR_MAX
#define CHAR_MIN SCHAR_MIN
#define SHRT_MAX 32767
#define SHRT_MIN (-32767 - 1)
#define USHRT_MAX 65535
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define LONG_MAX 9223372036854775807L
#define LONG_MIN (-9223372036854775807L - 1)
#define ULONG_MAX 18446744073709551615UL

#define FLT_RADIX 2
#define FLT_DIG 6
#define FLT_DECIMAL_DIG 9
#define FLT_MANT_DIG 24
#define FLT_MAX_10_EXP 38
#define FLT_MAX_EXP 128
#define FLT_MIN_10_EXP (-37)
#define FLT_MIN_EXP (-125)
#define FLT_MAX 0x1.fffffep+127f
#define FLT_MIN 0x1p-126f
#define FLT_TRUE_MIN 0x1p-149f
#define FLT_EPSILON 0x1p-23f
#define HALF_DIG 3
#define HALF_DECIMAL_DIG 5
#define HALF_MANT_DIG 11
#define HALF_MAX_10_EXP 4
#define HALF_MAX_EXP 16
#define HALF_MIN_10_EXP (-4)
#define HALF_MIN_EXP (-13)
#define HALF_MAX ((half)0x1.ffcp+15f)
#define HALF_MIN ((half)0x1p-14f)
#define HALF_TRUE_MIN ((half)0x1p-24f)
#define HALF_EPSILON ((half)0x1p-10f)
#define BFLT_DIG 2
#define BFLT_DECIMAL_DIG 4
#define BFLT_MANT_DIG 8
#define BFLT_MAX_10_EXP 38
#define BFLT_MAX_EXP 128
#define BFLT_MIN_10_EXP (-37)
#define BFLT_MIN_EXP (-125)
#define BFLT_MAX ((bfloat)0x1.fep+127f)
#define BFLT_MIN ((bfloat)0x1p-126f)
#define BFLT_TRUE_MIN ((bfloat)0x1p-133f)
#define BFLT_EPSILON ((bfloat)0x1p-7f)

#define FP_ILOGB0 INT_MIN
#define FP_ILOGBNAN INT_MAX

#define MAXFLOAT FLT_MAX
#define MAXHALF HALF_MAX
#define MAXBFLOAT BFLT_MAX
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define HUGE_VALF __builtin_inff()
#define HUGE_VALH ((half)__builtin_inff())
#define HUGE_VALBF ((bfloat)__builtin_inff())

#define M_E_F 2.71828182845904523536028747135266250f
#define M_LOG2E_F 1.44269504088896340735992468100189214f
#define M_LOG10E_F 0.434294481903251827651128918916605082f
#define M_LN2_F 0.693147180559945309417232121458176568f
#define M_LN10_F 2.30258509299404568401799145468436421f
#define M_PI_F 3.14159265358979323846264338327950288f
#define M_PI_2_F 1.57079632679489661923132169163975144f
#define M_PI_4_F 0.785398163397448309615660845819875721f
#define M_1_PI_F 0.318309886183790671537767526745028724f
#define M_2_PI_F 0.636619772367581343075535053490057448f
#define M_2_SQRTPI_F 1.12837916709551257389615890312154517f
#define M_SQRT2_F 1.41421356237309504880168872420969808f
#define M_SQRT1_2_F 0.707106781186547524400844362104849039f
#define M_E_H ((half)M_E_F)
#define M_LOG2E_H ((half)M_LOG2E_F)
#define M_LOG10E_H ((half)M_LOG10E_F)
#define M_LN2_H ((half)M_LN2_F)
#define M_LN10_H ((half)M_LN10_F)
#define M_PI_H ((half)M_PI_F)
#define M_PI_2_H ((half)M_PI_2_F)
#define M_PI_4_H ((half)M_PI_4_F)
#define M_1_PI_H ((half)M_1_PI_F)
#define M_2_PI_H ((half)M_2_PI_F)
#define M_2_SQRTPI_H ((half)M_2_SQRTPI_F)
#define M_SQRT2_H ((half)M_SQRT2_F)
#define M_SQRT1_2_H ((half)M_SQRT1_2_F)
#define M_E_BF ((bfloat)M_E_F)
#define M_LOG2E_BF ((bfloat)M_LOG2E_F)
#define M_LOG10E_BF ((bfloat)M_LOG10E_F)
#define M_LN2_BF ((bfloat)M_LN2_F)
#define M_LN10_BF ((bfloat)M_LN10_F)
#define M_PI_BF ((bfloat)M_PI_F)
#define M_PI_2_BF ((bfloat)M_PI_2_F)
#define M_PI_4_BF ((bfloat)M_PI_4_F)
#define M_1_PI_BF ((bfloat)M_1_PI_F)
#define M_2_PI_BF ((bfloat)M_2_PI_F)
#define M_2_SQRTPI_BF ((bfloat)M_2_SQRTPI_F)
#define M_SQRT2_BF ((bfloat)M_SQRT2_F)
#define M_SQRT1_2_BF ((bfloat)M_SQRT1_2_F)

namespace metal {

enum float_round_style {
    round_indeterminate = -1,
    round_toward_zero = 0,
    round_to_nearest = 1,
    round_toward_infinity = 2,
    round_toward_neg_infinity = 3,
};
enum float_denorm_style { denorm_indeterminate = -1, denorm_absent = 0, denorm_present = 1 };

// What a type that is no number answers. Public kernels derive from the bases below, and
// specialise _numeric_limits_impl for types of their own; both names are Apple's.
struct _numeric_limits_impl_base {
    static constexpr bool is_specialized = false;
    static constexpr bool is_signed = false;
    static constexpr bool is_integer = false;
    static constexpr bool is_exact = false;
    static constexpr bool has_infinity = false;
    static constexpr bool has_quiet_NaN = false;
    static constexpr bool has_signaling_NaN = false;
    static constexpr float_denorm_style has_denorm = denorm_absent;
    static constexpr bool has_denorm_loss = false;
    static constexpr float_round_style round_style = round_toward_zero;
    static constexpr bool is_iec559 = false;
    static constexpr bool is_bounded = false;
    static constexpr bool is_modulo = false;
    static constexpr int digits = 0;
    static constexpr int digits10 = 0;
    static constexpr int max_digits10 = 0;
    static constexpr int radix = 0;
    static constexpr int min_exponent = 0;
    static constexpr int min_exponent10 = 0;
    static constexpr int max_exponent = 0;
    static constexpr int max_exponent10 = 0;
    static constexpr bool traps = false;
    static constexpr bool tinyness_before = false;
};
struct _integer_numeric_limits_impl_base : _numeric_limits_impl_base {
    static constexpr bool is_specialized = true;
    static constexpr bool is_integer = true;
    static constexpr bool is_exact = true;
    static constexpr bool is_bounded = true;
    static constexpr int radix = 2;
};
struct _fp_numeric_limits_impl_base : _numeric_limits_impl_base {
    static constexpr bool is_specialized = true;
    static constexpr bool is_signed = true;
    static constexpr bool has_infinity = true;
    static constexpr bool has_quiet_NaN = true;
    static constexpr bool has_signaling_NaN = true;
    static constexpr float_denorm_style has_denorm = denorm_present;
    static constexpr float_round_style round_style = round_to_nearest;
    static constexpr bool is_iec559 = true;
    static constexpr bool is_bounded = true;
    static constexpr int radix = 2;
};

template <class T>
struct _numeric_limits_impl : _numeric_limits_impl_base {
    static constexpr T min() { return T(); }
    static constexpr T max() { return T(); }
    static constexpr T lowest() { return T(); }
    static constexpr T epsilon() { return T(); }
    static constexpr T round_error() { return T(); }
    static constexpr T infinity() { return T(); }
    static constexpr T quiet_NaN() { return T(); }
    static constexpr T signaling_NaN() { return T(); }
    static constexpr T denorm_min() { return T(); }
};

#define PYMETAL_INTEGER_LIMITS(T, bits, sign)                                                      \
    template <>                                                                                    \
    struct _numeric_limits_impl<T> : _integer_numeric_limits_impl_base {                           \
        static constexpr bool is_signed = sign;                                                    \
        static constexpr bool is_modulo = !sign;                                                   \
        static constexpr int digits = bits;                                                        \
        static constexpr int digits10 = bits * 3 / 10;                                             \
        static constexpr T max() { return (T)(~0UL >> (64 - bits)); }                              \
        static constexpr T min() { return sign ? (T)(-(long)(~0UL >> (64 - bits)) - 1) : (T)0; }   \
        static constexpr T lowest() { return min(); }                                              \
        static constexpr T epsilon() { return 0; }                                                 \
        static constexpr T round_error() { return 0; }                                             \
        static constexpr T infinity() { return 0; }                                                \
        static constexpr T quiet_NaN() { return 0; }                                               \
        static constexpr T signaling_NaN() { return 0; }                                           \
        static constexpr T denorm_min() { return 0; }                                              \
    };
PYMETAL_INTEGER_LIMITS(bool, 1, false)
PYMETAL_INTEGER_LIMITS(char, 7, true)
PYMETAL_INTEGER_LIMITS(signed char, 7, true)
PYMETAL_INTEGER_LIMITS(uchar, 8, false)
PYMETAL_INTEGER_LIMITS(short, 15, true)
PYMETAL_INTEGER_LIMITS(ushort, 16, false)
PYMETAL_INTEGER_LIMITS(int, 31, true)
PYMETAL_INTEGER_LIMITS(uint, 32, false)
PYMETAL_INTEGER_LIMITS(long, 63, true)
PYMETAL_INTEGER_LIMITS(ulong, 64, false)
#undef PYMETAL_INTEGER_LIMITS

#define PYMETAL_FLOAT_LIMITS(T, PREFIX)                                                            \
    template <>                                                                                    \
    struct _numeric_limits_impl<T> : _fp_numeric_limits_impl_base {                                \
        static constexpr int digits = PREFIX##_MANT_DIG;                                           \
        static constexpr int digits10 = PREFIX##_DIG;                                              \
        static constexpr int max_digits10 = PREFIX##_DECIMAL_DIG;                                  \
        static constexpr int min_exponent = PREFIX##_MIN_EXP;                                      \
        static constexpr int min_exponent10 = PREFIX##_MIN_10_EXP;                                 \
        static constexpr int max_exponent = PREFIX##_MAX_EXP;                                      \
        static constexpr int max_exponent10 = PREFIX##_MAX_10_EXP;                                 \
        static constexpr T max() { return PREFIX##_MAX; }                                          \
        static constexpr T min() { return PREFIX##_MIN; }                                          \
        static constexpr T lowest() { return -PREFIX##_MAX; }                                      \
        static constexpr T epsilon() { return PREFIX##_EPSILON; }                                  \
        static constexpr T round_error() { return (T)0.5f; }                                       \
        static constexpr T infinity() { return (T)__builtin_inff(); }                              \
        static constexpr T quiet_NaN() { return (T)__builtin_nanf(""); }                           \
        static constexpr T signaling_NaN() { return (T)__builtin_nansf(""); }                      \
        static constexpr T denorm_min() { return PREFIX##_TRUE_MIN; }                              \
    };
PYMETAL_FLOAT_LIMITS(float, FLT)
PYMETAL_FLOAT_LIMITS(half, HALF)
PYMETAL_FLOAT_LIMITS(bfloat, BFLT)
#undef PYMETAL_FLOAT_LIMITS

template <class T>
struct numeric_limits : _numeric_limits_impl<T> {};
template <class T>
struct numeric_limits<const T> : numeric_limits<T> {};
template <class T>
struct numeric_limits<volatile T> : numeric_limits<T> {};
template <class T>
struct numeric_limits<const volatile T> : numeric_limits<T> {};

// Where the parts of a floating-point number lie; Apple's name, used by public kernels.
template <class T>
struct _fp_encoding_traits;
#define PYMETAL_FP_ENCODING(T, U, SIGN, EXPONENT, MANTISSA, SHIFT, BIAS)                           \
    template <>                                                                                    \
    struct _fp_encoding_traits<T> {                                                                \
        typedef U encoding_type;                                                                   \
        static constexpr U sign_mask = SIGN;                                                       \
        static constexpr U exponent_mask = EXPONENT;                                               \
        static constexpr U mantissa_mask = MANTISSA;                                               \
        static constexpr U inf_mask = EXPONENT;                                                    \
        static constexpr U exponent_shift = SHIFT;                                                 \
        static constexpr U exponent_bias = BIAS;                                                   \
    };
PYMETAL_FP_ENCODING(float, uint, 0x80000000u, 0x7f800000u, 0x007fffffu, 23, 127)
PYMETAL_FP_ENCODING(half, ushort, 0x8000u, 0x7c00u, 0x03ffu, 10, 15)
PYMETAL_FP_ENCODING(bfloat, ushort, 0x8000u, 0x7f80u, 0x007fu, 7, 127)
#undef PYMETAL_FP_ENCODING

} // namespace metal
