// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

void store(device float* to, float x) { *to = x; }
kernel void k(device float* out [[buffer(0)]]) {
  float own = out[0];
  store(&own, 1);  // refused
}
