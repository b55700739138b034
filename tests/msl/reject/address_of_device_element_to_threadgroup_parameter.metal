// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

float first(threadgroup const float* p) { return p[0]; }
kernel void k(device float* out [[buffer(0)]], device float* in [[buffer(1)]]) {
  out[0] = first(&in[2]);  // refused
}
