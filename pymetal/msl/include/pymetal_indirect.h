// What kernels write for indirect draws, dispatches and tessellation to read: <metal_types>,
// <metal_tessellation>. Metal Shading Language Specification, sections 5.1.1.1 and 5.10.
#pragma once
#pragma clang system_header
#include "pymetal_types.h"

struct MTLDispatchThreadgroupsIndirectArguments {
    uint32_t threadgroupsPerGrid[3];
};
struct MTLDispatchThreadsIndirectArguments {
    uint32_t threadsPerGrid[3];
    uint32_t threadsPerThreadgroup[3];
};
struct MTLDrawPrimitivesIndirectArguments {
    uint32_t vertexCount;
    uint32_t instanceCount;
    uint32_t vertexStart;
    uint32_t baseInstance;
};
struct MTLDrawIndexedPrimitivesIndirectArguments {
    uint32_t indexCount;
    uint32_t instanceCount;
    uint32_t indexStart;
    int32_t baseVertex;
    uint32_t baseInstance;
};
struct MTLDrawPatchIndirectArguments {
    uint32_t patchCount;
    uint32_t instanceCount;
    uint32_t patchStart;
    uint32_t baseInstance;
};
struct MTLQuadTessellationFactorsHalf {
    half edgeTessellationFactor[4];
    half insideTessellationFactor[2];
};
struct MTLTriangleTessellationFactorsHalf {
    half edgeTessellationFactor[3];
    half insideTessellationFactor;
};
