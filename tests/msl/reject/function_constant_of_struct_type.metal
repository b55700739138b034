// Metal Shading Language Specification, section 5.8: function constants are scalars or vectors.
#include <metal_stdlib>
using namespace metal;

struct P { int a; };
constant P p [[function_constant(0)]];  // refused
kernel void k(device float* out [[buffer(0)]]) { out[0] = p.a; }
