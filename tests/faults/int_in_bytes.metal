// A uint is read at any byte of a record.
// run: {"grid": 32, "threadgroup": 64, "out": 32, "inputs": [["uint8", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void int_in_bytes(
    device uint* out [[buffer(0)]],
    device const uchar* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = *(device const uint*)(a + 5 * i);  // fault: misaligned thread 1
}
