// Metal Shading Language Specification, section 5.2.1: buffer indices are 0 to 30.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(-1)]]) { out[0] = 1; }  // refused
