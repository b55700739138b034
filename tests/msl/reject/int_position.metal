// Metal Shading Language Specification, section 5.2.3.6, Kernel Function Input Attributes.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]], int p [[thread_position_in_grid]]) { out[0] = p; }  // refused
