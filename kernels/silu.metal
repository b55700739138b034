// SiLU, also called swish, of each element; and SwiGLU, its product with a second input.
//
// function   grid, in threads  threadgroup
// silu       (n, 1, 1)         any, such as (256, 1, 1)
//     one thread an element
// silu_gate  (n, 1, 1)         any, such as (256, 1, 1)
//     the gate of SwiGLU in the same pass over memory
//
// Each has _half and _bfloat beside float (T); all compute in float.
//
// Buffers of silu:
// buffer  name  type             shape            access
// 0       out   device T*        any, n elements  write
// 1       x     device const T*  as out           read
//
// Buffers of silu_gate:
// buffer  name  type             shape            access
// 0       out   device T*        any, n elements  write
// 1       x     device const T*  as out           read
// 2       up    device const T*  as out           read
//
// formula    silu: x / (1 + exp(-x)); silu_gate: x / (1 + exp(-x)) * up
// reference  the formula in float64
// source     Elfwing et al., "Sigmoid-Weighted Linear Units", 2017; Shazeer, "GLU Variants Improve
//            Transformer", 2020
//
// As `pymetal check --run` tries it:
// launch: silu silu_half silu_bfloat -o 100 -i random:100 --grid 100 --threadgroup 32
// launch: silu_gate* -o 100 -i random:100 -i random:100 --grid 100 --threadgroup 32

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void silu_element(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    uint gid [[thread_position_in_grid]])
{
    // exp overflows to infinity for x < -88, which gives the right limit, -0.
    float value = float(x[gid]);
    out[gid] = T(value / (1.0f + exp(-value)));
}

template <typename T>
[[kernel]] void silu_gate_element(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* up [[buffer(2)]],
    uint gid [[thread_position_in_grid]])
{
    float value = float(x[gid]);
    out[gid] = T(value / (1.0f + exp(-value)) * float(up[gid]));
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("silu" suffix)]] [[kernel]]                                               \
    decltype(silu_element<T>) silu_element<T>;                                                     \
    template [[host_name("silu_gate" suffix)]] [[kernel]]                                          \
    decltype(silu_gate_element<T>) silu_gate_element<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
