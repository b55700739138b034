// Metal Shading Language Specification, section 1.4.4, C++ restrictions: recursive function calls.
#include <metal_stdlib>
using namespace metal;

int f(int n) { return n < 2 ? 1 : n * f(n - 1); }  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = f(int(out[1])); }
