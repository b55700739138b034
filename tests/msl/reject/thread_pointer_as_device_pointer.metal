// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float x[4] = {1};
  device float* p = x;  // refused
  out[0] = p[0];
}
