// Metal Shading Language Specification, section 2.1: double is not supported.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  long double x = 1;  // refused
  out[0] = x;
}
