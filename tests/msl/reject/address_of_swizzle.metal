// Metal Shading Language Specification, section 2.2.1: a swizzle has no address.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float4 v(1);
  thread float2* p = &v.xy;  // refused
  out[0] = p->x;
}
