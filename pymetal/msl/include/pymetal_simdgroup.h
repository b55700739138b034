// Functions over the 32 lanes of a simdgroup: <metal_simdgroup>. Metal Shading Language
// Specification, section 6.9.2.
#pragma once
#pragma clang system_header
#include "pymetal_groups.h"

namespace metal {

// A bit per lane. all() and any() ask about every lane, active or not.
class simd_vote {
  public:
    typedef ulong vote_t;
    explicit constexpr simd_vote(vote_t v = 0) : v_(v) {}
    explicit constexpr operator vote_t() const { return v_; }
    constexpr bool all() const { return (v_ & 0xffffffff) == 0xffffffff; }
    constexpr bool any() const { return (v_ & 0xffffffff) != 0; }

  private:
    vote_t v_;
};

PYMETAL_GROUP_FUNCTIONS(simd, 32)

// Apple's test of what may cross lanes, used by public kernels.
template <class T>
struct __is_valid_simdgroup_type : bool_constant<pymetal::crosses_lanes<T>> {};
template <class T>
inline constexpr bool __is_valid_simdgroup_type_v = pymetal::crosses_lanes<T>;

} // namespace metal
