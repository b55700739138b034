// Metal Shading Language Specification, section 1.4.4, C++ restrictions.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  static int calls = 0;  // refused
  out[0] = ++calls;
}
