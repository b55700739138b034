// Attention of (H, L, 64) queries to (H, S, 64) keys and values with online softmax: one item a
// query, keys and values in local memory. L and S are multiples of 64.
#define D 64
#define SIZE 64
#define KEYS 32

kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void attention(
    global float* out, global const float* q, global const float* k, global const float* v, uint S,
    float scale)
{
    local float k_tile[KEYS][D];
    local float v_tile[KEYS][D];
    uint item = get_local_id(0);
    uint head = get_global_id(1);
    size_t row = ((size_t)head * get_global_size(0) + get_global_id(0)) * D;
    k += (size_t)head * S * D;
    v += (size_t)head * S * D;

    float query[D];
    float result[D];
    for (uint d = 0; d < D; ++d) {
        query[d] = q[row + d] * scale;
        result[d] = 0.0f;
    }
    float largest = -INFINITY;
    float sum = 0.0f;
    for (uint first = 0; first < S; first += KEYS) {
        for (uint i = item; i < KEYS * D; i += SIZE) {
            k_tile[i / D][i % D] = k[first * D + i];
            v_tile[i / D][i % D] = v[first * D + i];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint j = 0; j < KEYS; ++j) {
            float score = 0.0f;
            for (uint d = 0; d < D; ++d) {
                score += query[d] * k_tile[j][d];
            }
            float larger = fmax(largest, score);
            float rescale = exp(largest - larger);
            float weight = exp(score - larger);
            sum = sum * rescale + weight;
            for (uint d = 0; d < D; ++d) {
                result[d] = result[d] * rescale + weight * v_tile[j][d];
            }
            largest = larger;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint d = 0; d < D; ++d) {
        out[row + d] = result[d] / sum;
    }
}
