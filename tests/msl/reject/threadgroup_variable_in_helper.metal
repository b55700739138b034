// Metal Shading Language Specification, section 4.4, Threadgroup Address Space.
#include <metal_stdlib>
using namespace metal;

float f() {
  threadgroup float x[4];  // refused
  return x[0];
}
kernel void k(device float* out [[buffer(0)]]) { out[0] = f(); }
