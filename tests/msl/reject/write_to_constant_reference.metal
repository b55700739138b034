// Metal Shading Language Specification, section 4.3, Constant Address Space.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], constant int& n [[buffer(1)]]) {
  n = 1;  // refused
  out[0] = n;
}
