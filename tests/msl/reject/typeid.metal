// Metal Shading Language Specification, section 1.4.4, C++ restrictions: type identification.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  auto& t = typeid(float);  // refused
  out[0] = sizeof(t);
}
