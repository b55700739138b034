// Metal Shading Language Specification, section 4.4, Threadgroup Address Space.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  threadgroup float x = 1;  // refused
  out[0] = x;
}
