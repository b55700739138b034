// What $name computes, in a sentence.
//
// grid         (n, 1, 1) threads
// threadgroup  any, such as (256, 1, 1)
//
// buffer  name   type                 shape  access
// 0       out    device float*        (n,)   write
// 1       x      device const float*  (n,)   read
// 2       y      device const float*  (n,)   read
// 3       scale  constant float&      ()     read
//
// formula    out[i] = scale * x[i] + y[i]
// reference  ${name}_reference.py

#include <metal_stdlib>
using namespace metal;

kernel void $name(
    device float* out [[buffer(0)]],
    device const float* x [[buffer(1)]],
    device const float* y [[buffer(2)]],
    constant float& scale [[buffer(3)]],
    uint i [[thread_position_in_grid]])
{
    out[i] = scale * x[i] + y[i];
}
