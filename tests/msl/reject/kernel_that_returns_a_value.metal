// Metal Shading Language Specification, section 5.1.3: the return type of a kernel is void.
#include <metal_stdlib>
using namespace metal;

kernel float k(device float* out [[buffer(0)]]) { return out[0]; }  // refused
