// A barrier meant as a memory barrier for one thread: the others never come.
// after: github.com/KhronosGroup/MoltenVK/issues/973
// run: {"grid": 64, "threadgroup": 64, "out": 64, "inputs": []}
#include <metal_stdlib>
using namespace metal;

kernel void memory_barrier_for_one(
    device float* out [[buffer(0)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = 0;
    if (i == 1) {
        threadgroup_barrier(mem_flags::mem_device);  // fault: divergent-barrier thread 1
    } else {
        out[i] += 1;
    }
}
