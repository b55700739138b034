// Cross-lane operations of a simdgroup: what the lanes deposit, and what each gets back.
//
// The vectorised engine must agree with these bit by bit, so the order of every reduction is fixed:
// - A reduction over `width` lanes halves: for offset = width/2 … 1, lane i takes
//   op(lane i, lane i + offset) for i < offset; the result is lane 0's.
// - A scan doubles: for offset = 1, 2 … width/2, lane i takes op(lane i - offset, lane i) where
//   i >= offset. The exclusive scan of lane i is the inclusive one of lane i - 1.
// - Inactive lanes count as the identity: 0 for sum, or, xor; 1 for product; all ones for and; the
//   type's extreme for integer min and max; NaN for floating-point ones.
// - max(a, b) is a where a > b or b is NaN, else b; min likewise.
// - half and bfloat are widened to float, computed there and rounded once at the end.
#pragma once

#include <cstdint>

namespace pymetal::cpu {

enum class SimdOperation : uint32_t {
    sum,
    product,
    min,
    max,
    bit_and,
    bit_or,
    bit_xor,
    prefix_inclusive_sum,
    prefix_inclusive_product,
    prefix_exclusive_sum,
    prefix_exclusive_product,
    broadcast_first,
    shuffle, // also broadcast
    shuffle_up,
    shuffle_down,
    shuffle_xor,
    shuffle_rotate_up,
    shuffle_rotate_down,
    shuffle_and_fill_up,
    shuffle_and_fill_down,
    all,
    any,
    ballot,
    is_first,
    barrier,                    // lanes meet; memory is theirs all along
    matrix_multiply_accumulate, // value: address of six floats, see simdgroup_matrix.h
};

enum class SimdType : uint32_t { i1, s8, u8, s16, u16, s32, u32, s64, u64, f16, bf16, f32 };

// What one lane deposits; `value` is replaced by what it gets.
struct Exchange {
    SimdOperation operation;
    SimdType type;
    uint32_t width; // 32, or 4: each quadgroup for itself
    uint32_t lane;  // shuffles: source lane, delta or mask
    uint64_t value; // bits, zero-extended
    uint64_t fill;
    uint32_t modulo; // shuffle_and_fill: lanes per section; 0 means width

    // Whether two lanes at one site take part in the same operation.
    bool joins(const Exchange& other) const {
        return operation == other.operation && type == other.type && width == other.width;
    }
};

// Performs the operation of the lanes in `active` (not 0), which all join the first of them.
// A source lane out of range or inactive gives the lane its own value; with `fill`, which is for
// checked runs that look whether it matters, an inactive one gives bytes of that.
void exchange(Exchange (&lanes)[32], uint32_t active, uint8_t fill);

// The lane whose value a shuffle gives to `lane`; -1 where there is none, or it is no shuffle.
int source_lane(const Exchange (&lanes)[32], uint32_t active, uint32_t lane);

} // namespace pymetal::cpu
