// Metal Feature Set Tables: 32 KB of threadgroup memory.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  threadgroup float x[8193];  // refused
  x[0] = 1;
  out[0] = x[0];
}
