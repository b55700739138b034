// Metal Shading Language Specification, section 5.8, Function Constants.
#include <metal_stdlib>
using namespace metal;

constant int n [[function_constant(0)]] = 3;  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = n; }
