// Metal Shading Language Specification, section 2.2: vectors have 2 to 4 components.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  float5 v(1);  // refused
  out[0] = v.x;
}
