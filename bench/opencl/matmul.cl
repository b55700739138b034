// out (M, K) = A (M, N) @ B (N, K).

// One work-item a result; global size (M, K): neighbouring items walk down a column.
kernel void matmul_columns(
    global float* out, global const float* A, global const float* B, uint N)
{
    uint row = get_global_id(0);
    uint column = get_global_id(1);
    uint K = get_global_size(1);
    float sum = 0.0f;
    for (uint n = 0; n < N; ++n) {
        sum += A[row * N + n] * B[n * K + column];
    }
    out[row * K + column] = sum;
}

// The same; global size (K, M): neighbouring items walk along a row.
kernel void matmul_rows(
    global float* out, global const float* A, global const float* B, uint N)
{
    uint row = get_global_id(1);
    uint column = get_global_id(0);
    uint K = get_global_size(0);
    float sum = 0.0f;
    for (uint n = 0; n < N; ++n) {
        sum += A[row * N + n] * B[n * K + column];
    }
    out[row * K + column] = sum;
}

#define TILE 32

// Tiles in local memory; one result an item, groups of 32 x 32. All lengths multiples of 32.
kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void matmul_tiled(
    global float* out, global const float* A, global const float* B, uint N, uint K)
{
    local float a_tile[TILE][TILE];
    local float b_tile[TILE][TILE];
    uint x = get_local_id(0);
    uint y = get_local_id(1);
    uint row = get_global_id(1);
    uint column = get_global_id(0);
    float sum = 0.0f;
    for (uint first = 0; first < N; first += TILE) {
        a_tile[y][x] = A[row * N + first + x];
        b_tile[y][x] = B[(first + y) * K + column];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint n = 0; n < TILE; ++n) {
            sum += a_tile[y][n] * b_tile[n][x];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    out[row * K + column] = sum;
}

#define SPAN 64
#define DEPTH 16
#define SIDE 16
#define EACH 4

#ifdef BFLOAT
typedef ushort element;
float load(element x) { return as_float((uint)x << 16); }
element to_element(float x)  // to nearest, ties to even; there are no NaN here
{
    uint bits = as_uint(x);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
#else
typedef float element;
float load(element x) { return x; }
element to_element(float x) { return x; }
#endif

// Groups of 16 x 16 items compute 64 x 64 results, 4 x 4 each in registers; tiles in local memory.
// All lengths multiples of 64.
kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1))) void matmul_blocked(
    global element* out, global const element* A, global const element* B, uint N, uint K)
{
    local float a_tile[SPAN][DEPTH];
    local float b_tile[DEPTH][SPAN];
    uint x = get_local_id(0);
    uint y = get_local_id(1);
    uint top = get_group_id(1) * SPAN;
    uint left = get_group_id(0) * SPAN;
    float sum[EACH][EACH] = {};
    for (uint first = 0; first < N; first += DEPTH) {
        for (uint i = 0; i < EACH; ++i) {
            a_tile[y + i * SIDE][x] = load(A[(top + y + i * SIDE) * N + first + x]);
            b_tile[y][x + i * SIDE] = load(B[(first + y) * K + left + x + i * SIDE]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint n = 0; n < DEPTH; ++n) {
            float a[EACH];
            float b[EACH];
            for (uint i = 0; i < EACH; ++i) {
                a[i] = a_tile[y + i * SIDE][n];
                b[i] = b_tile[n][x + i * SIDE];
            }
            for (uint i = 0; i < EACH; ++i) {
                for (uint j = 0; j < EACH; ++j) {
                    sum[i][j] += a[i] * b[j];
                }
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint i = 0; i < EACH; ++i) {
        for (uint j = 0; j < EACH; ++j) {
            out[(top + y + i * SIDE) * K + left + x + j * SIDE] = to_element(sum[i][j]);
        }
    }
}
