// Metal Shading Language Specification, section 4, Address Spaces: at program scope constant only.
#include <metal_stdlib>
using namespace metal;

constexpr uint mask = 7;  // refused
kernel void k(device uint* out [[buffer(0)]]) { out[0] = mask; }
