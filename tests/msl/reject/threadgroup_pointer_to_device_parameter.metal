// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

float first(device float* p) { return p[0]; }
kernel void k(device float* out [[buffer(0)]]) {
  threadgroup float x[4];
  x[0] = 1;
  out[1] = first(x);  // refused
}
