// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

float sum(thread const float* p) { return p[0] + p[1]; }
kernel void k(device float* out [[buffer(0)]]) {
  out[0] = sum(out + 2);  // refused
}
