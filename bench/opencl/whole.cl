// A whole array at once: sum, inclusive scan, histogram of bytes, sort of blocks.
#define SIZE 256

// Partial sums of many elements an item; then one group adds those.
kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void reduction(
    global float* out, global const float* x, uint n)
{
    local float parts[SIZE];
    uint item = get_local_id(0);
    float sum = 0.0f;
    for (uint i = get_global_id(0); i < n; i += get_global_size(0)) {
        sum += x[i];
    }
    parts[item] = sum;
    for (uint half_way = SIZE / 2; half_way > 0; half_way /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_way) {
            parts[item] += parts[item + half_way];
        }
    }
    if (item == 0) {
        out[get_group_id(0)] = parts[0];
    }
}

// Sums of four neighbours an item, added up in the group.
kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void scan_sums(
    global float* totals, global const float4* x)
{
    local float parts[SIZE];
    uint item = get_local_id(0);
    float4 own = x[get_global_id(0)];
    parts[item] = own.x + own.y + own.z + own.w;
    for (uint half_way = SIZE / 2; half_way > 0; half_way /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_way) {
            parts[item] += parts[item + half_way];
        }
    }
    if (item == 0) {
        totals[get_group_id(0)] = parts[0];
    }
}

// One item: as many totals as groups.
kernel void scan_totals(global float* totals, uint n)
{
    float sum = 0.0f;
    for (uint i = 0; i < n; ++i) {
        sum += totals[i];
        totals[i] = sum;
    }
}

// Each item scans its four neighbours, the group the items' sums from those of earlier groups.
kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void scan_chunks(
    global float4* out, global const float4* x, global const float* totals)
{
    local float parts[2][SIZE];
    uint item = get_local_id(0);
    size_t group = get_group_id(0);
    float4 own = x[get_global_id(0)];
    own.y += own.x;
    own.z += own.y;
    own.w += own.z;
    uint from = 0;
    parts[0][item] = own.w;
    for (uint distance = 1; distance < SIZE; distance *= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        parts[1 - from][item] =
            parts[from][item] + (item >= distance ? parts[from][item - distance] : 0.0f);
        from = 1 - from;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float before = group > 0 ? totals[group - 1] : 0.0f;
    if (item > 0) {
        before += parts[from][item - 1];
    }
    out[get_global_id(0)] = own + before;
}

kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void clear_bins(global uint* out)
{
    out[get_global_id(0)] = 0;
}

// Counters in local memory, added to global memory once a group.
kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void histogram(
    global uint* out, global const uchar* x, uint n)
{
    local uint counts[256];
    uint item = get_local_id(0);
    counts[item] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_global_id(0); i < n; i += get_global_size(0)) {
        atomic_inc(&counts[x[i]]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    atomic_add(&out[item], counts[item]);
}

#define BLOCK 1024

// Bitonic sort of 1,024 elements in local memory, two an item.
kernel __attribute__((reqd_work_group_size(BLOCK / 2, 1, 1))) void block_sort(
    global uint* out, global const uint* x)
{
    local uint keys[BLOCK];
    uint item = get_local_id(0);
    size_t first = get_group_id(0) * BLOCK;
    keys[item] = x[first + item];
    keys[item + BLOCK / 2] = x[first + item + BLOCK / 2];
    for (uint size = 2; size <= BLOCK; size *= 2) {
        for (uint stride = size / 2; stride > 0; stride /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            uint low = 2 * item - (item & (stride - 1));
            uint high = low + stride;
            bool ascending = (low & size) == 0;
            uint a = keys[low];
            uint b = keys[high];
            bool exchange = (a > b) == ascending;
            keys[low] = exchange ? b : a;
            keys[high] = exchange ? a : b;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    out[first + item] = keys[item];
    out[first + item + BLOCK / 2] = keys[item + BLOCK / 2];
}
