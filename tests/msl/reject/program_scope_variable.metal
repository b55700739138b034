// Metal Shading Language Specification, section 4.3: program scope variables are constant.
#include <metal_stdlib>
using namespace metal;

float counter = 0;  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = counter; }
