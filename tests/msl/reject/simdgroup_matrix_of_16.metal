// Metal Shading Language Specification, section 2.4, SIMD-group Matrix Data Types: 8 by 8.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  simdgroup_matrix<float, 16, 16> m;  // refused
  simdgroup_store(m, out);
}
