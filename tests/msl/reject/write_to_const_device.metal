// Metal Shading Language Specification, section 4, and ISO C++17 [dcl.type.cv].
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], const device float* x [[buffer(1)]]) {
  x[0] = out[0];  // refused
}
