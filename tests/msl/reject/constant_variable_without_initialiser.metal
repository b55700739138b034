// Metal Shading Language Specification, section 4.3, Constant Address Space.
#include <metal_stdlib>
using namespace metal;

constant float x;  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = x; }
