// Metal Shading Language Specification, section 1.4.4, C++ restrictions: new and delete.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float* p = new float[4];  // refused
  out[0] = p[0];
}
