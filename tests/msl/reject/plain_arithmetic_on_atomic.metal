// Metal Shading Language Specification, section 2.6, Atomic Data Types.
#include <metal_stdlib>
using namespace metal;

kernel void k(device atomic_int* x [[buffer(0)]]) {
  x[0] = x[0] + 1;  // refused
}
