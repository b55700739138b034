// Metal Shading Language Specification, section 5.2, Function Arguments and Variables.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint i) { out[i] = 1; }  // refused
