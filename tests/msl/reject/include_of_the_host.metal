// section 1.4.4: the C++ standard library is not there; keeps a kernel in its box.
#include <metal_stdlib>
#include <vector>  // refused
using namespace metal;
kernel void k(device float* out [[buffer(0)]]) { out[0] = 1; }
