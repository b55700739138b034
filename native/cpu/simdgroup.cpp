#include "simdgroup.h"

#include "half.h"
#include "simdgroup_matrix.h"

#include <bit>
#include <limits>

namespace pymetal::cpu {

namespace {

constexpr uint32_t kLanes = 32;

template <typename Function>
void for_each_lane(uint32_t active, Function function) {
    for (; active != 0; active &= active - 1)
        function(static_cast<uint32_t>(std::countr_zero(active)));
}

// A type's bits as the C++ type it is computed in, and back. Integers of all widths are computed in
// 64 bits: whoever takes the result drops what is too much.
template <typename T>
struct Codec {
    T (*decode)(uint64_t);
    uint64_t (*encode)(T);
};

template <typename T>
constexpr Codec<int64_t> kSigned{
    [](uint64_t bits) { return static_cast<int64_t>(static_cast<T>(bits)); },
    [](int64_t value) { return static_cast<uint64_t>(value); }};
constexpr Codec<uint64_t> kUnsigned{[](uint64_t bits) { return bits; },
                                    [](uint64_t value) { return value; }};
constexpr Codec<float> kFloat{
    [](uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); },
    [](float value) { return uint64_t{std::bit_cast<uint32_t>(value)}; }};
constexpr Codec<float> kHalf{
    [](uint64_t bits) { return half_to_float(static_cast<uint16_t>(bits)); },
    [](float value) { return uint64_t{float_to_half(value)}; }};
constexpr Codec<float> kBfloat{
    [](uint64_t bits) { return bfloat_to_float(static_cast<uint16_t>(bits)); },
    [](float value) { return uint64_t{float_to_bfloat(value)}; }};

template <typename T>
T add(T a, T b) {
    if constexpr (std::numeric_limits<T>::is_integer)
        return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else
        return a + b;
}
template <typename T>
T multiply(T a, T b) {
    if constexpr (std::numeric_limits<T>::is_integer)
        return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    else
        return a * b;
}
template <typename T>
T smaller(T a, T b) {
    return a < b || b != b ? a : b;
}
template <typename T>
T larger(T a, T b) {
    return a > b || b != b ? a : b;
}

template <typename T>
constexpr bool kIsFloat = !std::numeric_limits<T>::is_integer;
template <typename T>
constexpr T kNone = std::numeric_limits<T>::quiet_NaN();

template <typename T>
struct Lanes {
    T value[kLanes];

    Lanes(const Exchange (&lanes)[32], uint32_t active, T (*decode)(uint64_t), T identity) {
        for (T& v : value)
            v = identity;
        for_each_lane(active, [&](uint32_t i) { value[i] = decode(lanes[i].value); });
    }
};

template <typename T>
void reduce(Exchange (&lanes)[32], uint32_t active, const Codec<T>& codec, T identity,
            T (*operation)(T, T)) {
    Lanes<T> all(lanes, active, codec.decode, identity);
    const uint32_t width = lanes[std::countr_zero(active)].width;
    for (uint32_t base = 0; base < kLanes; base += width)
        for (uint32_t offset = width / 2; offset != 0; offset /= 2)
            for (uint32_t i = base; i < base + offset; ++i)
                all.value[i] = operation(all.value[i], all.value[i + offset]);
    for_each_lane(active,
                  [&](uint32_t i) { lanes[i].value = codec.encode(all.value[i / width * width]); });
}

template <typename T>
void scan(Exchange (&lanes)[32], uint32_t active, const Codec<T>& codec, T identity,
          T (*operation)(T, T), bool exclusive) {
    Lanes<T> all(lanes, active, codec.decode, identity);
    const uint32_t width = lanes[std::countr_zero(active)].width;
    for (uint32_t offset = 1; offset < width; offset *= 2)
        for (uint32_t i = kLanes; i-- > 0;)
            if (i % width >= offset)
                all.value[i] = operation(all.value[i - offset], all.value[i]);
    for_each_lane(active, [&](uint32_t i) {
        const T result = !exclusive ? all.value[i] : i % width == 0 ? identity : all.value[i - 1];
        lanes[i].value = codec.encode(result);
    });
}

template <typename T>
void arithmetic(Exchange (&lanes)[32], uint32_t active, const Codec<T>& codec, T lowest,
                T highest) {
    switch (lanes[std::countr_zero(active)].operation) {
    case SimdOperation::sum:
        return reduce<T>(lanes, active, codec, T{0}, add<T>);
    case SimdOperation::product:
        return reduce<T>(lanes, active, codec, T{1}, multiply<T>);
    case SimdOperation::min:
        return reduce<T>(lanes, active, codec, kIsFloat<T> ? kNone<T> : highest, smaller<T>);
    case SimdOperation::max:
        return reduce<T>(lanes, active, codec, kIsFloat<T> ? kNone<T> : lowest, larger<T>);
    case SimdOperation::prefix_inclusive_sum:
        return scan<T>(lanes, active, codec, T{0}, add<T>, false);
    case SimdOperation::prefix_exclusive_sum:
        return scan<T>(lanes, active, codec, T{0}, add<T>, true);
    case SimdOperation::prefix_inclusive_product:
        return scan<T>(lanes, active, codec, T{1}, multiply<T>, false);
    default:
        return scan<T>(lanes, active, codec, T{1}, multiply<T>, true);
    }
}

template <typename T>
void signed_arithmetic(Exchange (&lanes)[32], uint32_t active) {
    arithmetic<int64_t>(lanes, active, kSigned<T>, std::numeric_limits<T>::min(),
                        std::numeric_limits<T>::max());
}

void arithmetic(Exchange (&lanes)[32], uint32_t active) {
    switch (lanes[std::countr_zero(active)].type) {
    case SimdType::s8:
        return signed_arithmetic<int8_t>(lanes, active);
    case SimdType::s16:
        return signed_arithmetic<int16_t>(lanes, active);
    case SimdType::s32:
        return signed_arithmetic<int32_t>(lanes, active);
    case SimdType::s64:
        return signed_arithmetic<int64_t>(lanes, active);
    case SimdType::f16:
        return arithmetic<float>(lanes, active, kHalf, 0, 0);
    case SimdType::bf16:
        return arithmetic<float>(lanes, active, kBfloat, 0, 0);
    case SimdType::f32:
        return arithmetic<float>(lanes, active, kFloat, 0, 0);
    default: // unsigned: the widest extremes serve the narrower types as well
        return arithmetic<uint64_t>(lanes, active, kUnsigned, 0,
                                    std::numeric_limits<uint64_t>::max());
    }
}

void bitwise(Exchange (&lanes)[32], uint32_t active) {
    switch (lanes[std::countr_zero(active)].operation) {
    case SimdOperation::bit_and:
    case SimdOperation::all:
        return reduce<uint64_t>(lanes, active, kUnsigned, ~uint64_t{0},
                                [](uint64_t a, uint64_t b) { return a & b; });
    case SimdOperation::bit_or:
    case SimdOperation::any:
        return reduce<uint64_t>(lanes, active, kUnsigned, 0,
                                [](uint64_t a, uint64_t b) { return a | b; });
    default:
        return reduce<uint64_t>(lanes, active, kUnsigned, 0,
                                [](uint64_t a, uint64_t b) { return a ^ b; });
    }
}

// One lane's source within its simdgroup or quadgroup; `filled`: from the fill values.
struct Source {
    int64_t lane; // relative to the group; out of range: the lane's own value
    bool filled = false;
};

Source fill_source(const Exchange& lane, int64_t position, int64_t shift) {
    // Sections of `modulo` lanes shift each for itself; what leaves at one end enters as fill at
    // the other.
    const int64_t modulo = lane.modulo != 0 && lane.modulo <= lane.width ? lane.modulo : lane.width;
    const int64_t section = position / modulo * modulo;
    const int64_t within = position - section + shift;
    if (within >= 0 && within < modulo)
        return {section + within};
    const int64_t wrapped = within < 0 ? within + modulo : within - modulo;
    if (wrapped < 0 || wrapped >= modulo)
        return {-1};
    return {section + wrapped, true};
}

Source source_of(const Exchange& lane, int64_t position, int64_t first) {
    const int64_t argument = lane.lane;
    const int64_t width = lane.width;
    switch (lane.operation) {
    case SimdOperation::broadcast_first:
        return {first};
    case SimdOperation::shuffle_up:
        return {position - argument};
    case SimdOperation::shuffle_down:
        return {position + argument};
    case SimdOperation::shuffle_xor:
        return {position ^ argument};
    case SimdOperation::shuffle_rotate_up:
        return {(position + width - argument % width) % width};
    case SimdOperation::shuffle_rotate_down:
        return {(position + argument) % width};
    case SimdOperation::shuffle_and_fill_up:
        return fill_source(lane, position, -argument);
    case SimdOperation::shuffle_and_fill_down:
        return fill_source(lane, position, argument);
    default: // shuffle
        return {argument};
    }
}

void shuffle(Exchange (&lanes)[32], uint32_t active, uint8_t fill) {
    uint64_t results[kLanes];
    const uint32_t width = lanes[std::countr_zero(active)].width;
    for_each_lane(active, [&](uint32_t i) {
        const uint32_t base = i / width * width;
        const uint32_t first = static_cast<uint32_t>(std::countr_zero(active >> base));
        const Source source = source_of(lanes[i], i - base, first);
        results[i] = lanes[i].value;
        if (source.lane < 0 || source.lane >= width)
            return;
        const uint32_t from = base + static_cast<uint32_t>(source.lane);
        if ((active >> from & 1) != 0)
            results[i] = source.filled ? lanes[from].fill : lanes[from].value;
        else if (fill != 0)
            results[i] = fill * 0x0101010101010101;
    });
    for_each_lane(active, [&](uint32_t i) { lanes[i].value = results[i]; });
}

void vote(Exchange (&lanes)[32], uint32_t active) {
    uint64_t votes = 0;
    for_each_lane(active, [&](uint32_t i) { votes |= (lanes[i].value & 1) << i; });
    for_each_lane(active, [&](uint32_t i) {
        const uint32_t width = lanes[i].width;
        const uint32_t base = i / width * width;
        const uint64_t group = (uint64_t{1} << width) - 1;
        if (lanes[i].operation == SimdOperation::ballot)
            lanes[i].value = votes >> base & group;
        else // is_first
            lanes[i].value = std::countr_zero(active >> base) == static_cast<int>(i - base);
    });
}

} // namespace

int source_lane(const Exchange (&lanes)[32], uint32_t active, uint32_t lane) {
    const Exchange& own = lanes[lane];
    if (own.operation < SimdOperation::broadcast_first ||
        own.operation > SimdOperation::shuffle_and_fill_down)
        return -1;
    const uint32_t base = lane / own.width * own.width;
    const auto first = static_cast<int64_t>(std::countr_zero(active >> base));
    const Source source = source_of(own, lane - base, first);
    if (source.lane < 0 || source.lane >= own.width)
        return -1;
    return static_cast<int>(base + static_cast<uint32_t>(source.lane));
}

void exchange(Exchange (&lanes)[32], uint32_t active, uint8_t fill) {
    switch (lanes[std::countr_zero(active)].operation) {
    case SimdOperation::sum:
    case SimdOperation::product:
    case SimdOperation::min:
    case SimdOperation::max:
    case SimdOperation::prefix_inclusive_sum:
    case SimdOperation::prefix_inclusive_product:
    case SimdOperation::prefix_exclusive_sum:
    case SimdOperation::prefix_exclusive_product:
        return arithmetic(lanes, active);
    case SimdOperation::bit_and:
    case SimdOperation::bit_or:
    case SimdOperation::bit_xor:
    case SimdOperation::all:
    case SimdOperation::any:
        return bitwise(lanes, active);
    case SimdOperation::ballot:
    case SimdOperation::is_first:
        return vote(lanes, active);
    case SimdOperation::barrier:
        return;
    case SimdOperation::matrix_multiply_accumulate:
        return multiply_accumulate(lanes, active);
    default:
        return shuffle(lanes, active, fill);
    }
}

} // namespace pymetal::cpu
