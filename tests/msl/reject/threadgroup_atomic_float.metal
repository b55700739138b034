// Metal Shading Language Specification, section 6.15.4: atomic_float in device memory only.
#include <metal_stdlib>
using namespace metal;

kernel void k(device float* out [[buffer(0)]]) {
  threadgroup atomic_float sum;  // refused
  atomic_store_explicit(&sum, 0, memory_order_relaxed);
  out[0] = atomic_load_explicit(&sum, memory_order_relaxed);
}
