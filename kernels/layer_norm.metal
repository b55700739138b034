// Layer normalisation of each row of a matrix.
//
// function            grid, in threads  threadgroup
// layer_norm          (rows, 1, 1)      any, such as (64, 1, 1)
//     one thread a row: mean, variance, write
// layer_norm_simd     (32, rows, 1)     (32, r, 1), r <= 32
//     one simdgroup a row, simd_sum
// layer_norm_welford  (32, rows, 1)     (32, r, 1), r <= 32
//     mean and variance in one pass
//
// Each has _half and _bfloat beside float (T); all compute in float. The variance is that of the
// differences from the mean, never mean(x^2) - mean(x)^2, which cancels.
//
// buffer  name    type             shape      access
// 0       out     device T*        (rows, n)  write
// 1       x       device const T*  (rows, n)  read
// 2       weight  device const T*  (n,)       read
// 3       bias    device const T*  (n,)       read
// 4       n       constant uint&   ()         read
// 5       eps     constant float&  ()         read
//
// formula    out[i] = weight[i] * (x[i] - mean x) / sqrt(variance of x + eps) + bias[i]
// reference  the formula in float64, the variance that of NumPy (divided by n)
// source     Ba, Kiros and Hinton, "Layer Normalization", 2016; joining of parts: Chan, Golub and
//            LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
//
// As `pymetal check --run` tries it:
// launch: layer_norm layer_norm_half layer_norm_bfloat -o 7,50 -i random:7,50 -i random:50 \
//     -i random:50 -i 50 -i 1e-5 --grid 7 --threadgroup 4
// launch: layer_norm_simd* layer_norm_welford* -o 7,50 -i random:7,50 -i random:50 -i \
//     random:50 -i 50 -i 1e-5 --grid 32,7 --threadgroup 32,4

#include <metal_stdlib>
using namespace metal;

template <typename T>
[[kernel]] void layer_norm_thread(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* weight [[buffer(2)]],
    device const T* bias [[buffer(3)]],
    constant uint& n [[buffer(4)]],
    constant float& eps [[buffer(5)]],
    uint row [[thread_position_in_grid]])
{
    x += row * n;
    out += row * n;

    float sum = 0.0f;
    for (uint i = 0; i < n; ++i) {
        sum += float(x[i]);
    }
    float mean = sum / n;
    float squares = 0.0f;
    for (uint i = 0; i < n; ++i) {
        float difference = float(x[i]) - mean;
        squares += difference * difference;
    }
    float scale = rsqrt(squares / n + eps);
    for (uint i = 0; i < n; ++i) {
        out[i] = T(float(weight[i]) * (float(x[i]) - mean) * scale + float(bias[i]));
    }
}

template <typename T>
[[kernel]] void layer_norm_simdgroup(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* weight [[buffer(2)]],
    device const T* bias [[buffer(3)]],
    constant uint& n [[buffer(4)]],
    constant float& eps [[buffer(5)]],
    uint2 gid [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    x += gid.y * n;
    out += gid.y * n;

    float sum = 0.0f;
    for (uint i = lane; i < n; i += 32) {
        sum += float(x[i]);
    }
    float mean = simd_sum(sum) / n;
    float squares = 0.0f;
    for (uint i = lane; i < n; i += 32) {
        float difference = float(x[i]) - mean;
        squares += difference * difference;
    }
    float scale = rsqrt(simd_sum(squares) / n + eps);
    for (uint i = lane; i < n; i += 32) {
        out[i] = T(float(weight[i]) * (float(x[i]) - mean) * scale + float(bias[i]));
    }
}

// What one pass knows of some elements; two of them join exactly.
struct Moments {
    float count;
    float mean;
    float squares;  // sum of squared differences from the mean
};

static Moments join(Moments a, Moments b)
{
    float count = a.count + b.count;
    if (count == 0.0f) {
        return a;
    }
    float difference = b.mean - a.mean;
    Moments both;
    both.count = count;
    both.mean = a.mean + difference * (b.count / count);
    both.squares = a.squares + b.squares + difference * difference * (a.count * b.count / count);
    return both;
}

template <typename T>
[[kernel]] void layer_norm_one_pass(
    device T* out [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* weight [[buffer(2)]],
    device const T* bias [[buffer(3)]],
    constant uint& n [[buffer(4)]],
    constant float& eps [[buffer(5)]],
    uint2 gid [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    x += gid.y * n;
    out += gid.y * n;

    Moments mine = {0.0f, 0.0f, 0.0f};
    for (uint i = lane; i < n; i += 32) {
        mine.count += 1.0f;
        float before = float(x[i]) - mine.mean;
        mine.mean += before / mine.count;
        mine.squares += before * (float(x[i]) - mine.mean);
    }
    for (ushort distance = 16; distance > 0; distance /= 2) {
        Moments other;
        other.count = simd_shuffle_xor(mine.count, distance);
        other.mean = simd_shuffle_xor(mine.mean, distance);
        other.squares = simd_shuffle_xor(mine.squares, distance);
        mine = join(mine, other);
    }
    // Both of a pair joined in another order: take one lane's word, so that all round alike.
    float mean = simd_broadcast_first(mine.mean);
    float scale = rsqrt(simd_broadcast_first(mine.squares) / n + eps);
    for (uint i = lane; i < n; i += 32) {
        out[i] = T(float(weight[i]) * (float(x[i]) - mean) * scale + float(bias[i]));
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("layer_norm" suffix)]] [[kernel]]                                         \
    decltype(layer_norm_thread<T>) layer_norm_thread<T>;                                           \
    template [[host_name("layer_norm_simd" suffix)]] [[kernel]]                                    \
    decltype(layer_norm_simdgroup<T>) layer_norm_simdgroup<T>;                                     \
    template [[host_name("layer_norm_welford" suffix)]] [[kernel]]                                 \
    decltype(layer_norm_one_pass<T>) layer_norm_one_pass<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
