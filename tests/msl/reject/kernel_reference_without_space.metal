// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]],
              const float& x [[buffer(1)]]) {  // refused
  out[0] = x;
}
