// Metal Shading Language Specification, section 2.2.1, Accessing Vector Components.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float4 v(1);
  v.xx = float2(1, 2);  // refused
  out[0] = v.x;
}
