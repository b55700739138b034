// Metal Shading Language Specification, section 4.3, Constant Address Space.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], constant float* x [[buffer(1)]]) {
  x[0] = out[0];  // refused
}
