// Metal Shading Language Specification, section 2.1: double is not supported.
#include <metal_stdlib>
using namespace metal;

kernel void k(device double* x [[buffer(0)]]) { x[0] = 1; }  // refused
