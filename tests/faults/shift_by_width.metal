// Rotation by zero shifts right by the whole width.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["uint32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void shift_by_width(
    device uint* out [[buffer(0)]],
    device const uint* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    uint by = i % 32;
    out[i] = (a[i] << by) | (a[i] >> (32 - by));  // fault: shift thread 0
}
