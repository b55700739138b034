// keeps a kernel in its box.
#include <metal_stdlib>
using namespace metal;

constant char text[] = {
#embed "/etc/hostname"  // refused
};
kernel void k(device float* out [[buffer(0)]]) { out[0] = text[0]; }
