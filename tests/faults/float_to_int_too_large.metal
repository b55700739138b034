// The product does not fit 32 bits.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void float_to_int_too_large(
    device int* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    out[i] = int(a[i] * 1e9f);  // fault: conversion thread 3
}
