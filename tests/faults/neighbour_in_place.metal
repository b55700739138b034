// A stencil in place: half of its neighbours are new, half are old.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void neighbour_in_place(
    device float* data [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    data[i] = a[i];  // also: race
    data[i] += data[(i + 1) % 256];  // fault: race
    // also: uninitialised anywhere
}
