// The mean of no elements is NaN.
// run: {"grid": 256, "threadgroup": 64, "out": 256, "inputs": [["float32", 256]]}
#include <metal_stdlib>
using namespace metal;

kernel void nan_to_int(
    device int* out [[buffer(0)]],
    device const float* a [[buffer(1)]],
    uint i [[thread_position_in_grid]]) {
    float mean = a[i] * 0.0f / float(i % 2);
    out[i] = int(mean);  // fault: conversion thread 0
}
