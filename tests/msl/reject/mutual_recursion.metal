// Metal Shading Language Specification, section 1.4.4, C++ restrictions: recursive function calls.
#include <metal_stdlib>
using namespace metal;

int g(int n);
int f(int n) { return n < 2 ? 1 : g(n - 1); }  // refused
int g(int n) { return f(n - 1); }
kernel void k(device float* out [[buffer(0)]]) { out[0] = f(int(out[1])); }
