// The guard lets one thread too many pass.
// run: {"grid": 256, "threadgroup": 64, "out": 200, "inputs": [["float32", 256], 200]}
#include <metal_stdlib>
using namespace metal;

kernel void guard_off_by_one(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    constant uint& n [[buffer(2)]],
    uint i [[thread_position_in_grid]]) {
    if (i <= n) {
        out[i] = a[i];  // fault: out-of-bounds thread 200
    }
}
