// <MetalPerformancePrimitives/MetalPerformancePrimitives.h>: precompiled, in pymetal_matmul2d.h.
