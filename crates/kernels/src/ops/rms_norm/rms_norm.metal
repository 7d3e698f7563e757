// T: dtype of x, W: dtype of the weight. A threadgroup computes one row.

inline float rstd_of(float squares, uint width, float eps) {
    return 1 / precise::sqrt(squares / width + eps);
}

// y = x rstd weight.
kernel void rms_norm_forward(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const W* weight [[buffer(2)]],
    constant Rows& weight_rows [[buffer(3)]],
    device T* y [[buffer(4)]],
    constant uint& width [[buffer(5)]],
    constant float& eps [[buffer(6)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    x += row_start(x_rows, row);
    y += ulong(row) * width;
    float squares = 0;
    for (uint i = thread_index; i < width; i += threads) {
        float value = float(x[i * x_rows.stride]);
        squares += value * value;
    }
    squares = group_sum(squares, shared, thread_index, threads);
    float rstd = rstd_of(squares, width, eps);
    for (uint i = thread_index; i < width; i += threads) {
        y[i] = T(float(x[i * x_rows.stride]) * rstd * float(weight[i * weight_rows.stride]));
    }
}

// sum = x + residual, y = its norm; the norm is that of the sum before it is rounded.
kernel void rms_norm_residual(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const T* residual [[buffer(2)]],
    constant Rows& residual_rows [[buffer(3)]],
    device const W* weight [[buffer(4)]],
    constant Rows& weight_rows [[buffer(5)]],
    device T* sum [[buffer(6)]],
    device T* y [[buffer(7)]],
    constant uint& width [[buffer(8)]],
    constant float& eps [[buffer(9)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    x += row_start(x_rows, row);
    residual += row_start(residual_rows, row);
    sum += ulong(row) * width;
    y += ulong(row) * width;
    float squares = 0;
    for (uint i = thread_index; i < width; i += threads) {
        float value = float(x[i * x_rows.stride]) + float(residual[i * residual_rows.stride]);
        sum[i] = T(value);
        squares += value * value;
    }
    squares = group_sum(squares, shared, thread_index, threads);
    float rstd = rstd_of(squares, width, eps);
    for (uint i = thread_index; i < width; i += threads) {
        float value = float(x[i * x_rows.stride]) + float(residual[i * residual_rows.stride]);
        y[i] = T(value * rstd * float(weight[i * weight_rows.stride]));
    }
}

// dx = rstd (g - x rstd^2 mean(g x)) with g = dy weight; rstd is kept for the weight's gradient.
kernel void rms_norm_backward(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const W* weight [[buffer(2)]],
    constant Rows& weight_rows [[buffer(3)]],
    device const T* dy [[buffer(4)]],
    constant Rows& dy_rows [[buffer(5)]],
    device T* dx [[buffer(6)]],
    device float* rstds [[buffer(7)]],
    constant uint& width [[buffer(8)]],
    constant float& eps [[buffer(9)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    x += row_start(x_rows, row);
    dy += row_start(dy_rows, row);
    dx += ulong(row) * width;
    float squares = 0;
    float products = 0;
    for (uint i = thread_index; i < width; i += threads) {
        float value = float(x[i * x_rows.stride]);
        float g = float(dy[i * dy_rows.stride]) * float(weight[i * weight_rows.stride]);
        squares += value * value;
        products += g * value;
    }
    squares = group_sum(squares, shared, thread_index, threads);
    products = group_sum(products, shared, thread_index, threads);
    float rstd = rstd_of(squares, width, eps);
    float factor = rstd * rstd * products / width;
    for (uint i = thread_index; i < width; i += threads) {
        float g = float(dy[i * dy_rows.stride]) * float(weight[i * weight_rows.stride]);
        dx[i] = T(rstd * (g - float(x[i * x_rows.stride]) * factor));
    }
    if (thread_index == 0) {
        rstds[row] = rstd;
    }
}

// The sum of dy x rstd over `part_rows` rows: a thread for every column (x) of every part (y).
kernel void rms_norm_weight_parts(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const T* dy [[buffer(2)]],
    constant Rows& dy_rows [[buffer(3)]],
    device const float* rstds [[buffer(4)]],
    device float* parts [[buffer(5)]],
    constant uint& rows [[buffer(6)]],
    constant uint& part_rows [[buffer(7)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    uint first = position.y * part_rows;
    uint last = min(first + part_rows, rows);
    float sum = 0;
    for (uint row = first; row < last; row++) {
        float value = float(x[row_start(x_rows, row) + position.x * x_rows.stride]);
        float upstream = float(dy[row_start(dy_rows, row) + position.x * dy_rows.stride]);
        sum += upstream * value * rstds[row];
    }
    parts[ulong(position.y) * grid.x + position.x] = sum;
}

// The sum of all parts, in their order.
kernel void rms_norm_weight_sum(
    device const float* parts [[buffer(0)]],
    device W* dweight [[buffer(1)]],
    constant uint& part_count [[buffer(2)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    float sum = 0;
    for (uint part = 0; part < part_count; part++) {
        sum += parts[ulong(part) * grid.x + position.x];
    }
    dweight[position.x] = W(sum);
}
