// Grouped-query attention with online softmax: no matrix of scores is ever stored.
//
// function         grid, in threads        threadgroup
// attention        (D, L, H)               any, such as (64, 1, 1)
//     one thread a result; each computes the scores anew
// attention_simd   (32, L, H)              (32, r, 1), r <= 32
//     one simdgroup a query; a lane holds every 32nd element of query and result
// attention_tiled  (32, 8 ceil(L / 8), H)  (32, 8, 1)
//     eight queries share 32 keys and values in threadgroup memory; one softmax step per 32
//
// H query heads share H / group key heads: query head h reads key head h / group.
// attention_simd takes D <= 256, attention_tiled D <= 64; beyond, the result is NaN.
// Each has _half and _bfloat beside float (T); all compute in float.
//
// Buffers of attention, attention_simd:
// buffer  name    type             shape              access
// 0       out     device T*        (H, L, D)          write
// 1       q       device const T*  (H, L, D)          read
// 2       k       device const T*  (H / group, S, D)  read
// 3       v       device const T*  (H / group, S, D)  read
// 4       S       constant uint&   ()                 read
// 5       D       constant uint&   ()                 read
// 6       group   constant uint&   ()                 read
// 7       scale   constant float&  ()                 read
// 8       causal  constant bool&   ()                 read
//
// Buffers of attention_tiled:
// buffer  name    type             shape              access
// 0       out     device T*        (H, L, D)          write
// 1       q       device const T*  (H, L, D)          read
// 2       k       device const T*  (H / group, S, D)  read
// 3       v       device const T*  (H / group, S, D)  read
// 4       L       constant uint&   ()                 read
// 5       S       constant uint&   ()                 read
// 6       D       constant uint&   ()                 read
// 7       group   constant uint&   ()                 read
// 8       scale   constant float&  ()                 read
// 9       causal  constant bool&   ()                 read
//
// formula    out[h, i] = sum over j of softmax(scale * q[h, i] . k[h / group])[j] * v[h / group, j]
//            causal: query i sees keys j <= i + S - L (the last query sees all keys); a query that
//            sees none is NaN. scale is usually 1 / sqrt D.
// reference  the formula in float64
// source     Ainslie et al., "GQA", 2023; Dao et al., "FlashAttention", 2022
//
// As `pymetal check --run` tries it:
// launch: attention attention_half attention_bfloat attention_simd* -o 4,5,32 -i \
//     random:4,5,32 -i random:2,9,32 -i random:2,9,32 -i 9 -i 32 -i 2 -i 0.18 -i true \
//     --grid 32,5,4 --threadgroup 32,4
// launch: attention_tiled* -o 4,13,32 -i random:4,13,32 -i random:2,35,32 -i random:2,35,32 \
//     -i 13 -i 35 -i 32 -i 2 -i 0.18 -i true --grid 32,16,4 --threadgroup 32,8

#include <metal_stdlib>
using namespace metal;

// How many keys query i sees, of S, when there are L queries.
static uint keys_seen(uint i, uint L, uint S, bool causal)
{
    if (!causal) {
        return S;
    }
    uint end = i + 1 + S;
    return end > L ? min(end - L, S) : 0;
}

template <typename T>
[[kernel]] void attention_element(
    device T* out [[buffer(0)]],
    device const T* q [[buffer(1)]],
    device const T* k [[buffer(2)]],
    device const T* v [[buffer(3)]],
    constant uint& S [[buffer(4)]],
    constant uint& D [[buffer(5)]],
    constant uint& group [[buffer(6)]],
    constant float& scale [[buffer(7)]],
    constant bool& causal [[buffer(8)]],
    uint3 gid [[thread_position_in_grid]],
    uint3 grid [[threads_per_grid]])
{
    uint L = grid.y;
    q += (gid.z * L + gid.y) * D;
    k += gid.z / group * S * D;
    v += gid.z / group * S * D;

    float largest = -INFINITY;  // score so far
    float sum = 0.0f;           // of exp(score - largest)
    float result = 0.0f;        // of exp(score - largest) * v
    uint keys = keys_seen(gid.y, L, S, causal);
    for (uint j = 0; j < keys; ++j) {
        float score = 0.0f;
        for (uint d = 0; d < D; ++d) {
            score += float(q[d]) * float(k[j * D + d]);
        }
        score *= scale;
        float larger = max(largest, score);
        float rescale = exp(largest - larger);
        float weight = exp(score - larger);
        sum = sum * rescale + weight;
        result = result * rescale + weight * float(v[j * D + gid.x]);
        largest = larger;
    }
    out[(gid.z * L + gid.y) * D + gid.x] = T(result / sum);
}

constant constexpr uint PER_LANE = 8;  // elements of D a lane holds: D <= 256

template <typename T>
[[kernel]] void attention_simdgroup(
    device T* out [[buffer(0)]],
    device const T* q [[buffer(1)]],
    device const T* k [[buffer(2)]],
    device const T* v [[buffer(3)]],
    constant uint& S [[buffer(4)]],
    constant uint& D [[buffer(5)]],
    constant uint& group [[buffer(6)]],
    constant float& scale [[buffer(7)]],
    constant bool& causal [[buffer(8)]],
    uint3 gid [[thread_position_in_grid]],
    uint3 grid [[threads_per_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint L = grid.y;
    q += (gid.z * L + gid.y) * D;
    out += (gid.z * L + gid.y) * D;
    k += gid.z / group * S * D;
    v += gid.z / group * S * D;
    if (D > 32 * PER_LANE) {
        for (uint d = lane; d < D; d += 32) {
            out[d] = T(NAN);
        }
        return;
    }

    float query[PER_LANE];
    float result[PER_LANE];
    for (uint i = 0; i < PER_LANE; ++i) {
        uint d = lane + 32 * i;
        query[i] = d < D ? float(q[d]) * scale : 0.0f;
        result[i] = 0.0f;
    }
    float largest = -INFINITY;
    float sum = 0.0f;
    uint keys = keys_seen(gid.y, L, S, causal);
    for (uint j = 0; j < keys; ++j) {
        float part = 0.0f;
        for (uint i = 0; i < PER_LANE; ++i) {
            uint d = lane + 32 * i;
            if (d < D) {
                part += query[i] * float(k[j * D + d]);
            }
        }
        float score = simd_sum(part);
        float larger = max(largest, score);
        float rescale = exp(largest - larger);
        float weight = exp(score - larger);
        sum = sum * rescale + weight;
        for (uint i = 0; i < PER_LANE; ++i) {
            uint d = lane + 32 * i;
            if (d < D) {
                result[i] = result[i] * rescale + weight * float(v[j * D + d]);
            }
        }
        largest = larger;
    }
    for (uint i = 0; i < PER_LANE; ++i) {
        uint d = lane + 32 * i;
        if (d < D) {
            out[d] = T(result[i] / sum);
        }
    }
}

constant constexpr uint QUERIES = 8;  // of a threadgroup, one a simdgroup
constant constexpr uint KEYS = 32;    // in threadgroup memory at a time, one a lane
constant constexpr uint MAX_D = 64;

template <typename T>
[[kernel]] void attention_tile(
    device T* out [[buffer(0)]],
    device const T* q [[buffer(1)]],
    device const T* k [[buffer(2)]],
    device const T* v [[buffer(3)]],
    constant uint& L [[buffer(4)]],
    constant uint& S [[buffer(5)]],
    constant uint& D [[buffer(6)]],
    constant uint& group [[buffer(7)]],
    constant float& scale [[buffer(8)]],
    constant bool& causal [[buffer(9)]],
    uint3 gid [[thread_position_in_grid]],
    uint3 tid [[thread_position_in_threadgroup]],
    uint3 threadgroup_position [[threadgroup_position_in_grid]])
{
    threadgroup float q_tile[QUERIES][MAX_D];
    threadgroup float k_tile[MAX_D][KEYS + 1];  // by element: a lane reads the column of its key
    threadgroup float v_tile[KEYS][MAX_D];
    threadgroup float weights[QUERIES][KEYS];
    uint lane = tid.x;
    uint query = gid.y;
    k += gid.z / group * S * D;
    v += gid.z / group * S * D;
    q += (gid.z * L + query) * D;
    out += (gid.z * L + query) * D;
    if (D > MAX_D) {
        for (uint d = lane; d < D && query < L; d += 32) {
            out[d] = T(NAN);
        }
        return;
    }

    for (uint d = lane; d < D; d += 32) {
        q_tile[tid.y][d] = query < L ? float(q[d]) * scale : 0.0f;
    }
    uint keys = query < L ? keys_seen(query, L, S, causal) : 0;
    // The last query of the threadgroup sees the most keys; all threads load as far as that.
    uint last = min(threadgroup_position.y * QUERIES + QUERIES, L) - 1;
    uint keys_to_load = keys_seen(last, L, S, causal);

    float largest = -INFINITY;
    float sum = 0.0f;
    float result[MAX_D / 32] = {};  // this lane's elements: lane, lane + 32
    for (uint first = 0; first < keys_to_load; first += KEYS) {
        // Each simdgroup loads every eighth key; beyond S and D there are zeros.
        for (uint j = tid.y; j < KEYS; j += QUERIES) {
            uint key = first + j;
            for (uint i = 0; i < MAX_D / 32; ++i) {
                uint d = lane + 32 * i;
                bool inside = key < S && d < D;
                k_tile[d][j] = inside ? float(k[key * D + d]) : 0.0f;
                v_tile[j][d] = inside ? float(v[key * D + d]) : 0.0f;
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);

        if (first < keys) {  // the same for a whole simdgroup
            float score = 0.0f;
            for (uint d = 0; d < D; ++d) {
                score += q_tile[tid.y][d] * k_tile[d][lane];
            }
            score = first + lane < keys ? score : -INFINITY;
            float larger = max(largest, simd_max(score));
            float rescale = exp(largest - larger);
            float weight = first + lane < keys ? exp(score - larger) : 0.0f;
            weights[tid.y][lane] = weight;
            simdgroup_barrier(mem_flags::mem_threadgroup);
            sum = sum * rescale + simd_sum(weight);
            for (uint i = 0; i < MAX_D / 32; ++i) {
                result[i] *= rescale;
            }
            for (uint j = 0; j < min(KEYS, keys - first); ++j) {
                for (uint i = 0; i < MAX_D / 32; ++i) {
                    result[i] += weights[tid.y][j] * v_tile[j][lane + 32 * i];
                }
            }
            largest = larger;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read before the next keys
    }
    for (uint i = 0; i < MAX_D / 32; ++i) {
        uint d = lane + 32 * i;
        if (query < L && d < D) {
            out[d] = T(result[i] / sum);
        }
    }
}

#define KERNELS(suffix, T)                                                                         \
    template [[host_name("attention" suffix)]] [[kernel]]                                          \
    decltype(attention_element<T>) attention_element<T>;                                           \
    template [[host_name("attention_simd" suffix)]] [[kernel]]                                     \
    decltype(attention_simdgroup<T>) attention_simdgroup<T>;                                       \
    template [[host_name("attention_tiled" suffix)]] [[kernel]]                                    \
    decltype(attention_tile<T>) attention_tile<T>;

KERNELS("", float)
KERNELS("_half", half)
#if defined(__HAVE_BFLOAT__)
KERNELS("_bfloat", bfloat)
#endif
