// Metal Shading Language Specification, section 5.2.1, Locating Buffer, Texture, and Sampler Arguments.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              device float* x [[buffer(0)]]) {  // refused
  out[0] = x[0];
}
