// out[j, i] = x[i, j] by tiles in local memory, groups of 32 x 8. Lengths are multiples of 32.
#define TILE 32
#define ROWS 8

kernel __attribute__((reqd_work_group_size(TILE, ROWS, 1))) void transpose(
    global float* out, global const float* x, uint rows, uint columns)
{
    local float tile[TILE][TILE + 1];
    uint top = get_group_id(1) * TILE;
    uint left = get_group_id(0) * TILE;
    uint column = get_local_id(0);
    for (uint i = get_local_id(1); i < TILE; i += ROWS) {
        tile[i][column] = x[(top + i) * columns + left + column];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_local_id(1); i < TILE; i += ROWS) {
        out[(left + i) * rows + top + column] = tile[column][i];
    }
}
