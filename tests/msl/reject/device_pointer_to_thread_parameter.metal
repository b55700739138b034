// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

float first(thread float* p) { return p[0]; }
kernel void k(device float* out [[buffer(0)]]) {
  out[1] = first(out);  // refused
}
