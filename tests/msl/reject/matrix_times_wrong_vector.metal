// Metal Shading Language Specification, section 3.2, Matrix Operators.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float4x4 m(1);
  float3 v = m * float3(1);  // refused
  out[0] = v.x;
}
