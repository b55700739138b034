// The old output counts for nothing, as beta is 0: but NaN times 0 is NaN.
// after: github.com/ROCm/rocm-libraries/pull/8426
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": [["float32", 64], 0.0]}
#include <metal_stdlib>
using namespace metal;

kernel void output_times_zero(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    constant float& beta [[buffer(2)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = exp(-a[i]) + beta * out[i];  // fault: uninitialised thread 0
}
