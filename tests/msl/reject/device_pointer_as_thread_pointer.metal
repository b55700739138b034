// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  thread float* p = out;  // refused
  p[0] = 1;
}
