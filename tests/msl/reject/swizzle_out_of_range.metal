// Metal Shading Language Specification, section 2.2.1, Accessing Vector Components.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float2 v(1);
  out[0] = v.z;  // refused
}
