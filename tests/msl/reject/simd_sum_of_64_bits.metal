// Metal Shading Language Specification, table 6.14: neither bool nor long nor ulong.
#include <metal_stdlib>
using namespace metal;

kernel void k(device ulong* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = simd_sum(x[i]);  // refused
}
