// Softmax and root mean square norm of each row of a matrix: one group a row, trees in local memory.
#define SIZE 256

float sum_of(local float* parts, uint item, float value)
{
    parts[item] = value;
    for (uint half_way = SIZE / 2; half_way > 0; half_way /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_way) {
            parts[item] += parts[item + half_way];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float result = parts[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

float largest_of(local float* parts, uint item, float value)
{
    parts[item] = value;
    for (uint half_way = SIZE / 2; half_way > 0; half_way /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_way) {
            parts[item] = fmax(parts[item], parts[item + half_way]);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float result = parts[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
}

kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void softmax(
    global float* out, global const float* x, uint n)
{
    local float parts[SIZE];
    uint item = get_local_id(0);
    x += get_group_id(1) * n;
    out += get_group_id(1) * n;
    float largest = -INFINITY;
    for (uint i = item; i < n; i += SIZE) {
        largest = fmax(largest, x[i]);
    }
    largest = largest_of(parts, item, largest);
    float sum = 0.0f;
    for (uint i = item; i < n; i += SIZE) {
        sum += exp(x[i] - largest);
    }
    sum = sum_of(parts, item, sum);
    for (uint i = item; i < n; i += SIZE) {
        out[i] = exp(x[i] - largest) / sum;
    }
}

kernel __attribute__((reqd_work_group_size(SIZE, 1, 1))) void rms_norm(
    global float* out, global const float* x, global const float* weight, uint n, float eps)
{
    local float parts[SIZE];
    uint item = get_local_id(0);
    x += get_group_id(1) * n;
    out += get_group_id(1) * n;
    float squares = 0.0f;
    for (uint i = item; i < n; i += SIZE) {
        squares += x[i] * x[i];
    }
    float scale = rsqrt(sum_of(parts, item, squares) / n + eps);
    for (uint i = item; i < n; i += SIZE) {
        out[i] = weight[i] * x[i] * scale;
    }
}
