// <MetalPerformancePrimitives/MPPTensorOpsMatMul2d.h>: precompiled, in pymetal_matmul2d.h.
