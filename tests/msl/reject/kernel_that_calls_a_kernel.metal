// Metal Shading Language Specification, section 5.1: a kernel cannot call a kernel.
#include <metal_stdlib>
using namespace metal;

kernel void inner(device float* out [[buffer(0)]]) { out[0] = 1; }
kernel void k(device float* out [[buffer(0)]]) {
  inner(out);  // refused
}
