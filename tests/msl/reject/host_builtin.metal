// keeps a kernel in its box.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  __builtin_trap();  // refused
  out[0] = 1;
}
