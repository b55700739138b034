// Metal Shading Language Specification, section 4.3, Constant Address Space.
#include <metal_stdlib>
using namespace metal;

constant float table[2] = {1, 2};
kernel void k(device float* out [[buffer(0)]]) {
  table[0] = 3;  // refused
  out[0] = table[0];
}
