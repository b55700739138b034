// Metal Shading Language Specification, section 6.15.4.6: atomic_ulong has min and max.
#include <metal_stdlib>
using namespace metal;

kernel void k(device atomic_ulong* x [[buffer(0)]]) {
  atomic_fetch_add_explicit(x, 1ul, memory_order_relaxed);  // refused
}
