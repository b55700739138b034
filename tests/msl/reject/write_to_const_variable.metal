// ISO C++17 [dcl.type.cv].
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  const int n = 1;
  n = 2;  // refused
  out[0] = n;
}
