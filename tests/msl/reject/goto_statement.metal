// Metal Shading Language Specification, section 1.4.4, C++ restrictions: goto.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  out[0] = 1;
  goto end;  // refused
end:
  return;
}
