// Metal Shading Language Specification, section 1.4.4; ISO C++17 [dcl.array].
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], constant int& n [[buffer(1)]]) {
  float x[n];  // refused
  x[0] = 1;
  out[0] = x[0];
}
