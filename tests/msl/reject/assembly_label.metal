// Metal Shading Language Specification, 1.5.4: functions of other languages; only AIR's are named so
#include <metal_stdlib>

float host_function(float x) __asm("expf"); // refused

kernel void k(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]])
{
    x[i] = host_function(x[i]);
}
