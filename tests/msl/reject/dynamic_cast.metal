// Metal Shading Language Specification, section 1.4.4, C++ restrictions: dynamic_cast.
#include <metal_stdlib>
using namespace metal;

struct A {};
kernel void k(device float* out [[buffer(0)]]) {
  A a;
  A* p = dynamic_cast<A*>(&a);  // refused
  out[0] = p != nullptr;
}
