// Metal Shading Language Specification, section 1.4.4, C++ restrictions: thread_local.
#include <metal_stdlib>
using namespace metal;

thread_local int calls = 0;  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = ++calls; }
