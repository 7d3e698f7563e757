// T: dtype of the tensors. A threadgroup computes one row.

kernel void softmax_forward(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device T* y [[buffer(2)]],
    constant uint& width [[buffer(3)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    x += row_start(x_rows, row);
    y += ulong(row) * width;
    float largest = -INFINITY;
    for (uint i = thread_index; i < width; i += threads) {
        largest = max(largest, float(x[i * x_rows.stride]));
    }
    largest = group_max(largest, shared, thread_index, threads);
    float sum = 0;
    for (uint i = thread_index; i < width; i += threads) {
        sum += exp(float(x[i * x_rows.stride]) - largest);
    }
    sum = group_sum(sum, shared, thread_index, threads);
    for (uint i = thread_index; i < width; i += threads) {
        y[i] = T(exp(float(x[i * x_rows.stride]) - largest) / sum);
    }
}

// dx = y (dy - sum(dy y)).
kernel void softmax_backward(
    device const T* y [[buffer(0)]],
    constant Rows& y_rows [[buffer(1)]],
    device const T* dy [[buffer(2)]],
    constant Rows& dy_rows [[buffer(3)]],
    device T* dx [[buffer(4)]],
    constant uint& width [[buffer(5)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    y += row_start(y_rows, row);
    dy += row_start(dy_rows, row);
    dx += ulong(row) * width;
    float part = 0;
    for (uint i = thread_index; i < width; i += threads) {
        part += float(y[i * y_rows.stride]) * float(dy[i * dy_rows.stride]);
    }
    float sum = group_sum(part, shared, thread_index, threads);
    for (uint i = thread_index; i < width; i += threads) {
        dx[i] = T(float(y[i * y_rows.stride]) * (float(dy[i * dy_rows.stride]) - sum));
    }
}
