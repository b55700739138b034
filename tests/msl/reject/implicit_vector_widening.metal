// Metal Shading Language Specification, section 2.2: vector types do not convert implicitly.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float2 a(1);
  float3 b = a;  // refused
  out[0] = b.x;
}
