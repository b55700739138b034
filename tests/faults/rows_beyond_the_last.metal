// A simdgroup writes two rows; of an odd number, one too many.
// after: github.com/ggml-org/llama.cpp/pull/11314
// run: {"grid": 128, "threadgroup": 32, "out": 7, "inputs": [["float32", 32]]}
#include <metal_stdlib>
using namespace metal;

kernel void rows_beyond_the_last(
    device float* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint pair [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
    for (uint row = 2 * pair; row < 2 * pair + 2; ++row) {
        float sum = simd_sum(row * a[lane]);
        if (lane == 0) {
            out[row] = sum;  // fault: out-of-bounds thread 96
        }
    }
}
