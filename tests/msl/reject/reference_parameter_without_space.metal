// Metal Shading Language Specification, section 4, Address Spaces: a reference says its own.
#include <metal_stdlib>
using namespace metal;

void reset(float& x) { x = 0; }  // refused
kernel void k(device float* out [[buffer(0)]]) {
  float own = 1;
  reset(own);
  out[0] = own;
}
