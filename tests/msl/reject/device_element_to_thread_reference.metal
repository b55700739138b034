// Metal Shading Language Specification, section 4, Address Spaces.
#include <metal_stdlib>
using namespace metal;

void reset(thread float& x) { x = 0; }
kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  reset(out[i]);  // refused
}
