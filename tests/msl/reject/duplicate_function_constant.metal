// Metal Shading Language Specification, section 5.8: each function constant has an index of its own.
#include <metal_stdlib>
using namespace metal;

constant int a [[function_constant(0)]];
constant int b [[function_constant(0)]];  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = a + b; }
