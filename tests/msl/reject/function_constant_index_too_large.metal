// Metal Shading Language Specification, section 5.8.1: indices from 0 to 65535.
#include <metal_stdlib>
using namespace metal;

constant int a [[function_constant(65536)]];  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = a; }
