// Metal Shading Language Specification, section 4.4, Threadgroup Address Space.
#include <metal_stdlib>
using namespace metal;

threadgroup float x[4];  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = x[0]; }
