// <simd/simd.h>: precompiled, in pymetal_simd.h.
