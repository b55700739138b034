// Rotary position embedding: each pair of a head's elements is turned by an angle that grows with
// the position.
//
// function          grid, in threads        threadgroup
// rope              (D / 2, heads, tokens)  any, such as (32, 8, 1)
//     pairs (i, i + D / 2), as in GPT-NeoX
// rope_interleaved  (D / 2, heads, tokens)  any, such as (32, 8, 1)
//     pairs (2 i, 2 i + 1), as in the paper
// rope_table        (D / 2, heads, tokens)  any, such as (32, 8, 1)
//     pairs as rope; cosines and sines are given
//
// D is even. Each has _half and _bfloat beside float (T); angles are float.
//
// Buffers of rope, rope_interleaved:
// buffer  name    type             shape               access
// 0       out     device T*        (tokens, heads, D)  write
// 1       x       device const T*  (tokens, heads, D)  read
// 2       offset  constant uint&   ()                  read
// 3       base    constant float&  ()                  read
//
// Buffers of rope_table:
// buffer  name     type                 shape               access
// 0       out      device T*            (tokens, heads, D)  write
// 1       x        device const T*      (tokens, heads, D)  read
// 2       cosines  device const float*  (tokens, D / 2)     read
// 3       sines    device const float*  (tokens, D / 2)     read
//
// formula    angle = (offset + token) * base^(-2 i / D) for pair i
//            (a, b) becomes (a cos angle - b sin angle, a sin angle + b cos angle)
//            base is usually 10000; offset is the position of the first token
// reference  the formula in float64
// source     Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021
//
// As `pymetal check --run` tries it:
// launch: rope rope_half rope_bfloat rope_interleaved* -o 5,3,16 -i random:5,3,16 -i 2 -i \
//     10000 --grid 8,3,5 --threadgroup 8,2
// launch: rope_table* -o 5,3,16 -i random:5,3,16 -i random:5,8 -i random:5,8 --grid 8,3,5 \
//     --threadgroup 8,2

#include <metal_stdlib>
using namespace metal;

template <typename T>
static void rotate_pair(device T* out, device const T* x, uint a, uint b, float cosine, float sine)
{
    float first = float(x[a]);
    float second = float(x[b]);
    out[a] = T(first * cosine - second * sine);
    out[b] = T(first * sine + second * cosine);
}

static float angle_of(uint position, uint pair, uint pairs, float base)
{
    return float(position) * pow(base, -float(pair) / float(pairs));
}

template <typename T>
[[kernel]] void rope_halves(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& offset [[buffer(2)]],
    constant float& base [[buffer(3)]],
    uint3 gid [[thread_position_in_grid]],
    uint3 grid [[threads_per_grid]])
{
    uint pairs = grid.x;
    uint head = (gid.z * grid.y + gid.y) * 2 * pairs;  // where this token's head starts
    float angle = angle_of(offset + gid.z, gid.x, pairs, base);
    rotate_pair(out, x, head + gid.x, head + gid.x + pairs, cos(angle), sin(angle));
}

template <typename T>
[[kernel]] void rope_neighbours(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    constant uint& offset [[buffer(2)]],
    constant float& base [[buffer(3)]],
    uint3 gid [[thread_position_in_grid]],
    uint3 grid [[threads_per_grid]])
{
    uint pairs = grid.x;
    uint head = (gid.z * grid.y + gid.y) * 2 * pairs;
    float angle = angle_of(offset + gid.z, gid.x, pairs, base);
    rotate_pair(out, x, head + 2 * gid.x, head + 2 * gid.x + 1, cos(angle), sin(angle));
}

// Every head and layer needs the same angles: computed once, in any precision, by the caller.
template <typename T>
[[kernel]] void rope_given(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const float* cosines [[buffer(2)]],
    device const float* sines [[buffer(3)]],
    uint3 gid [[thread_position_in_grid]],
    uint3 grid [[threads_per_grid]])
{
    uint pairs = grid.x;
    uint head = (gid.z * grid.y + gid.y) * 2 * pairs;
    uint i = gid.z * pairs + gid.x;
    rotate_pair(out, x, head + gid.x, head + gid.x + pairs, cosines[i], sines[i]);
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("rope" suffix)]] [[kernel]]                                               \
    decltype(rope_halves<T>) rope_halves<T>;                                                       \
    template [[host_name("rope_interleaved" suffix)]] [[kernel]]                                   \
    decltype(rope_neighbours<T>) rope_neighbours<T>;                                               \
    template [[host_name("rope_table" suffix)]] [[kernel]]                                         \
    decltype(rope_given<T>) rope_given<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
