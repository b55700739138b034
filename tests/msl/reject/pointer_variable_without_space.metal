// Metal Shading Language Specification, section 4, Address Spaces: a pointer says its own.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float own[4] = {};
  float* p = own;  // refused
  out[0] = p[1];
}
