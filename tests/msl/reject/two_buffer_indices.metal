// Metal Shading Language Specification, section 5.2.1: a buffer has one index.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* x [[buffer(0), buffer(1)]]) {  // refused
  x[0] = 1;
}
