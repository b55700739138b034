// Metal Shading Language Specification, table 2.1: half is a type of the language.
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out [[buffer(0)]]) {
  uint half = out[0] / 2;  // refused
  out[1] = half;
}
