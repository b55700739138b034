// Metal Shading Language Specification, section 1.4.4, C++ restrictions: virtual functions.
#include <metal_stdlib>
using namespace metal;

struct A {
  virtual float f() { return 1; }  // refused
};
kernel void k(device float* out [[buffer(0)]]) { A a; out[0] = a.f(); }
