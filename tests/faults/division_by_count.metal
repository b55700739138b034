// Zero divided by zero is the first NaN.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]], "check": "nan"}
#include <metal_stdlib>
using namespace metal;

kernel void division_by_count(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float count = float(i % 4);
    float sum = count * a[i];
    out[i] = sum / count;  // fault: not-finite thread 0
}
