// In which order threadgroups, and threads that are ready, run. Any order is allowed, so that a
// kernel whose results differ by it is wrong; checks try several.
#pragma once

#include <bit>
#include <cstdint>
#include <numeric>

namespace pymetal::cpu {

class Schedule {
  public:
    // 0: as they lie; 1: backwards; else at random, the same for the same seed.
    explicit Schedule(uint64_t seed = 0) : seed_(seed), state_(seed * 0x9e3779b97f4a7c15 + 1) {}

    bool is_plain() const { return seed_ == 0; }

    // Which of `count` comes at `place`: a permutation, another one for each `salt`.
    uint64_t at(uint64_t place, uint64_t count, uint64_t salt = 0) const {
        if (seed_ == 0 || count < 2)
            return place;
        if (seed_ == 1)
            return count - 1 - place;
        Schedule chance(seed_ + salt);
        const uint64_t start = chance.next() % count;
        uint64_t step = chance.next() % count;
        while (std::gcd(step, count) != 1)
            step = step + 1 < count ? step + 1 : 1;
        return static_cast<uint64_t>((static_cast<unsigned __int128>(place) * step + start) %
                                     count);
    }

    // The number of one of the bits that are set; there is one.
    uint32_t pick(uint32_t bits) {
        if (seed_ == 0)
            return static_cast<uint32_t>(std::countr_zero(bits));
        if (seed_ == 1)
            return 31 - static_cast<uint32_t>(std::countl_zero(bits));
        for (uint64_t skip = next() % static_cast<uint64_t>(std::popcount(bits)); skip != 0; --skip)
            bits &= bits - 1;
        return static_cast<uint32_t>(std::countr_zero(bits));
    }

    // Where to look first among `count`, instead of at `usual`.
    uint32_t start(uint32_t usual, uint32_t count) {
        return seed_ < 2 ? usual : static_cast<uint32_t>(next() % count);
    }

  private:
    uint64_t next() { // xorshift64*, Vigna 2016
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 0x2545f4914f6cdd1d) >> 16;
    }

    uint64_t seed_;
    uint64_t state_;
};

} // namespace pymetal::cpu
