// Metal Shading Language Specification, section 4.1, Device Address Space.
#include <metal_stdlib>
using namespace metal;

device float counter;  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = counter; }
