// Metal Shading Language Specification, section 1.4.4, C++ restrictions: exceptions.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  if (out[0] > 0) throw 1;  // refused
}
