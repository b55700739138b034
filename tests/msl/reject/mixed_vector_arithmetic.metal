// Metal Shading Language Specification, section 3.1: operands of vectors have one type.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float4 a(1);
  int4 b(2);
  float4 c = a * b;  // refused
  out[0] = c.x;
}
