// Metal Shading Language Specification, section 5.1.3: before the function; behind, C++ applies it to the type.
#include <metal_stdlib>
using namespace metal;

kernel void k(device uint* out [[buffer(0)]])
    [[max_total_threads_per_threadgroup(64)]] {  // refused
  out[0] = 1;
}
