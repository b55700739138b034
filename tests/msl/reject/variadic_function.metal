// Metal Shading Language Specification, section 1.4.4, C++ restrictions.
#include <metal_stdlib>
using namespace metal;

float sum(int n, ...) { return n; }  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = sum(1, 2); }
