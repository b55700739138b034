// Metal Shading Language Specification, section 6.9.2, SIMD-Group Functions.
#include <metal_stdlib>
using namespace metal;

struct P { int a; };
kernel void k(device float* out [[buffer(0)]]) {
  P p{1};
  out[0] = simd_shuffle(p, 0).a;  // refused
}
