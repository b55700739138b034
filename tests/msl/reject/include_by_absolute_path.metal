// keeps a kernel in its box.
#include <metal_stdlib>
#include "/etc/hostname"  // refused
using namespace metal;
kernel void k(device float* out [[buffer(0)]]) { out[0] = 1; }
