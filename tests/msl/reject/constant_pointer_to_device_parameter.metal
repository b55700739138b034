// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

float first(device const float* p) { return p[0]; }
kernel void k(device float* out [[buffer(0)]], constant float* x [[buffer(1)]]) {
  out[1] = first(x);  // refused
}
