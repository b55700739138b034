// Metal Shading Language Specification, section 1.4.4, C++ restrictions: exceptions.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  try { out[0] = 1; } catch (int) {}  // refused
}
