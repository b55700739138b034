// Metal Shading Language Specification, section 6.15.1: atomic functions take relaxed order only.
#include <metal_stdlib>
using namespace metal;

kernel void k(device atomic_int* n [[buffer(0)]]) {
  atomic_fetch_add_explicit(n, 1, memory_order_seq_cst);  // refused
}
