// Functions over the 4 lanes of a quadgroup: <metal_quadgroup>. Metal Shading Language
// Specification, section 6.9.3.
#pragma once
#pragma clang system_header
#include "pymetal_groups.h"

namespace metal {

// A bit per lane in the four lowest bits; the others are cleared.
class quad_vote {
  public:
    typedef uint vote_t;
    explicit constexpr quad_vote(vote_t v = 0) : v_(v & 15) {}
    explicit constexpr operator vote_t() const { return v_; }
    constexpr bool all() const { return v_ == 15; }
    constexpr bool any() const { return v_ != 0; }

  private:
    vote_t v_;
};

PYMETAL_GROUP_FUNCTIONS(quad, 4)

template <class T>
struct __is_valid_quadgroup_type : bool_constant<pymetal::crosses_lanes<T>> {};

} // namespace metal
