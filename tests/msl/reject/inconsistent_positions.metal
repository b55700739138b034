// Metal Shading Language Specification, section 5.2.3.6: position attributes have as many components each.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], uint2 a [[thread_position_in_grid]],
              uint3 b [[threads_per_grid]]) {  // refused
  out[0] = a.x + b.x;
}
