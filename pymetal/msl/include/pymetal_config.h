// What this implementation has, in Apple's words: <metal_config>.
#pragma once
#pragma clang system_header

#ifdef __FAST_MATH__
#define __METAL_MAYBE_FAST_MATH__ 1
#else
#define __METAL_MAYBE_FAST_MATH__ 0
#endif
#define __METAL_FAST_MATH__ 1
#define __METAL_PRECISE_MATH__ 0

#define coherent(scope)
