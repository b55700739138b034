// The floating-point environment of a launch, set on each worker and put back afterwards.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pymetal::cpu {

// Rounding to nearest, all exceptions masked, subnormals flushed to zero if asked. Compiled kernels
// never change it, so that fibers need not save it.
class FloatEnvironment {
  public:
#if defined(__x86_64__)
    explicit FloatEnvironment(bool flush_subnormals) : saved_(_mm_getcsr()) {
        constexpr uint32_t kMaskAll = 0x1f80, kFlushResults = 0x8000, kFlushOperands = 0x40;
        _mm_setcsr(kMaskAll | (flush_subnormals ? kFlushResults | kFlushOperands : 0));
    }
    ~FloatEnvironment() { _mm_setcsr(saved_); }

  private:
    uint32_t saved_;
#elif defined(__aarch64__)
    explicit FloatEnvironment(bool flush_subnormals) {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        constexpr uint64_t kFlush = uint64_t{1} << 24, kFlushHalf = uint64_t{1} << 19;
        const uint64_t control = flush_subnormals ? kFlush | kFlushHalf : 0;
        asm volatile("msr fpcr, %0" : : "r"(control));
    }
    ~FloatEnvironment() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

  private:
    uint64_t saved_;
#endif
  public:
    FloatEnvironment(const FloatEnvironment&) = delete;
    FloatEnvironment& operator=(const FloatEnvironment&) = delete;
};

} // namespace pymetal::cpu
