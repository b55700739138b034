// keeps a kernel in its box.
#include <metal_stdlib>
using namespace metal;

extern "C" void abort();  // refused
kernel void k(device float* out [[buffer(0)]]) {
  abort();
  out[0] = 1;
}
