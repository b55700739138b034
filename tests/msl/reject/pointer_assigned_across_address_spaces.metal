// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float own[4] = {};
  device float* p = out;
  if (out[0] > 0)
    p = own;  // refused
  p[1] = 1;
}
