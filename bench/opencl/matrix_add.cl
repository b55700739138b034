// out = A + B, one work-item an element.
kernel void matrix_add(global float* out, global const float* A, global const float* B)
{
    size_t i = get_global_id(0);
    out[i] = A[i] + B[i];
}
