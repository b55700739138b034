// out = w @ x, w of 4 bits in groups of 32: one group of items a row, a tree in local memory.
#define SIZE 64

kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void matvec_q4(
    global float* out, global const uint* packed, global const float* scales,
    global const float* biases, global const float* x, uint n)
{
    local float parts[SIZE];
    uint item = get_local_id(0);
    uint row = get_group_id(1);
    packed += row * (n / 8);
    scales += row * (n / 32);
    biases += row * (n / 32);
    float sum = 0.0f;
    for (uint word = item; word < n / 8; word += SIZE) {
        uint bits = packed[word];
        float products = 0.0f;
        float total = 0.0f;
        for (uint i = 0; i < 8; ++i) {
            float value = x[word * 8 + i];
            products += (float)((bits >> (4 * i)) & 15) * value;
            total += value;
        }
        sum += scales[word / 4] * products + biases[word / 4] * total;
    }
    parts[item] = sum;
    for (uint half_way = SIZE / 2; half_way > 0; half_way /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_way) {
            parts[item] += parts[item + half_way];
        }
    }
    if (item == 0) {
        out[row] = parts[0];
    }
}
