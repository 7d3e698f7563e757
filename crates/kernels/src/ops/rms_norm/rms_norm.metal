// T: dtype of x, W: dtype of the weight. A threadgroup computes one row, which its threads keep where it fits.

inline float rstd_of(float squares, uint width, float eps) {
    return 1 / precise::sqrt(squares / width + eps);
}

// y = x rstd weight.
template <bool FOURS>
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
    uint step = kept_by(threads);
    Part values;
    Part weights;
    float squares = 0;
    for (uint first = 4 * thread_index; first < width; first += step) {
        values = read_part<FOURS>(x, x_rows, first, threads, width, 0);
        weights = read_part<FOURS>(weight, weight_rows, first, threads, width, 0);
        squares += dot(values, values);
    }
    float rstd = rstd_of(group_sum(squares, shared, thread_index, threads), width, eps);
    for (uint first = 4 * thread_index; first < width; first += step) {
        if (step < width) {
            values = read_part<FOURS>(x, x_rows, first, threads, width, 0);
            weights = read_part<FOURS>(weight, weight_rows, first, threads, width, 0);
        }
        write_part<FOURS>(y, times(scaled(values, rstd), weights), first, threads, width);
    }
}

template [[host_name("rms_norm_forward")]] [[kernel]] decltype(rms_norm_forward<false>) rms_norm_forward<false>;
template [[host_name("rms_norm_forward_fours")]] [[kernel]] decltype(rms_norm_forward<true>) rms_norm_forward<true>;

// sums = x + residual, y = their norm; the norm is that of the sums before they are rounded.
template <bool FOURS>
kernel void rms_norm_residual(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const T* residual [[buffer(2)]],
    constant Rows& residual_rows [[buffer(3)]],
    device const W* weight [[buffer(4)]],
    constant Rows& weight_rows [[buffer(5)]],
    device T* sums [[buffer(6)]],
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
    sums += ulong(row) * width;
    y += ulong(row) * width;
    uint step = kept_by(threads);
    Part values;
    Part weights;
    float squares = 0;
    for (uint first = 4 * thread_index; first < width; first += step) {
        Part before = read_part<FOURS>(x, x_rows, first, threads, width, 0);
        Part added = read_part<FOURS>(residual, residual_rows, first, threads, width, 0);
        weights = read_part<FOURS>(weight, weight_rows, first, threads, width, 0);
        values = plus(before, added);
        write_part<FOURS>(sums, values, first, threads, width);
        squares += dot(values, values);
    }
    float rstd = rstd_of(group_sum(squares, shared, thread_index, threads), width, eps);
    for (uint first = 4 * thread_index; first < width; first += step) {
        if (step < width) {
            Part before = read_part<FOURS>(x, x_rows, first, threads, width, 0);
            Part added = read_part<FOURS>(residual, residual_rows, first, threads, width, 0);
            weights = read_part<FOURS>(weight, weight_rows, first, threads, width, 0);
            values = plus(before, added);
        }
        write_part<FOURS>(y, times(scaled(values, rstd), weights), first, threads, width);
    }
}

template [[host_name("rms_norm_residual")]] [[kernel]] decltype(rms_norm_residual<false>) rms_norm_residual<false>;
template [[host_name("rms_norm_residual_fours")]] [[kernel]] decltype(rms_norm_residual<true>) rms_norm_residual<true>;

// dx = rstd (g - x rstd^2 mean(g x)) with g = dy weight; rstd is kept for the weight's gradient.
template <bool FOURS>
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
    threadgroup float shared_squares[SIMD];
    threadgroup float shared_products[SIMD];
    x += row_start(x_rows, row);
    dy += row_start(dy_rows, row);
    dx += ulong(row) * width;
    uint step = kept_by(threads);
    Part values;
    Part weights;
    Part upstream;
    float squares = 0;
    float products = 0;
    for (uint first = 4 * thread_index; first < width; first += step) {
        values = read_part<FOURS>(x, x_rows, first, threads, width, 0);
        upstream = read_part<FOURS>(dy, dy_rows, first, threads, width, 0);
        weights = read_part<FOURS>(weight, weight_rows, first, threads, width, 0);
        squares += dot(values, values);
        products += dot(values, times(upstream, weights));
    }
    squares = simd_sum(squares);
    products = simd_sum(products);
    if (threads > SIMD) {
        if (thread_index % SIMD == 0) {
            shared_squares[thread_index / SIMD] = squares;
            shared_products[thread_index / SIMD] = products;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        squares = simd_sum(shared_value(shared_squares, thread_index, threads, 0));
        products = simd_sum(shared_value(shared_products, thread_index, threads, 0));
    }
    float rstd = rstd_of(squares, width, eps);
    float factor = rstd * rstd * products / width;
    for (uint first = 4 * thread_index; first < width; first += step) {
        if (step < width) {
            values = read_part<FOURS>(x, x_rows, first, threads, width, 0);
            upstream = read_part<FOURS>(dy, dy_rows, first, threads, width, 0);
            weights = read_part<FOURS>(weight, weight_rows, first, threads, width, 0);
        }
        Part g = times(upstream, weights);
        Part gradient = scaled(plus(g, scaled(values, -factor)), rstd);
        write_part<FOURS>(dx, gradient, first, threads, width);
    }
    if (thread_index == 0) {
        rstds[row] = rstd;
    }
}

template [[host_name("rms_norm_backward")]] [[kernel]] decltype(rms_norm_backward<false>) rms_norm_backward<false>;
template [[host_name("rms_norm_backward_fours")]] [[kernel]] decltype(rms_norm_backward<true>) rms_norm_backward<true>;

// Whether no dimension ends between two rows: all from the one to the other are `strides[0]` apart.
inline bool in_one_run(constant Rows& rows, uint first, uint last) {
    ulong factor = rows.factors[0];
    return first * factor >> rows.shifts[0] == last * factor >> rows.shifts[0];
}

// Rows of a part that are read before any of them is needed.
constant constexpr uint ROWS_AHEAD = 8;

// The sum of dy x rstd over `part_rows` rows: a thread for four columns (x) of every part (y).
template <bool FOURS>
kernel void rms_norm_weight_parts(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const T* dy [[buffer(2)]],
    constant Rows& dy_rows [[buffer(3)]],
    device const float* rstds [[buffer(4)]],
    device float* parts [[buffer(5)]],
    constant uint& rows [[buffer(6)]],
    constant uint& part_rows [[buffer(7)]],
    constant uint& width [[buffer(8)]],
    uint2 position [[thread_position_in_grid]])
{
    uint first = position.y * part_rows;
    uint last = min(first + part_rows, rows) - 1;
    uint column = 4 * position.x;
    ulong x_start = row_start(x_rows, first);
    ulong dy_start = row_start(dy_rows, first);
    bool is_run = in_one_run(x_rows, first, last) && in_one_run(dy_rows, first, last);
    float4 total = float4(0);
    for (uint row = first; row <= last; row += ROWS_AHEAD) {
        ulong x_at[ROWS_AHEAD];
        ulong dy_at[ROWS_AHEAD];
        UNROLL
        for (uint k = 0; k < ROWS_AHEAD; k++) {
            // Behind the last row, the last once more: it is not added.
            uint at = min(row + k, last);
            x_at[k] = x_start + (at - first) * x_rows.strides[0];
            dy_at[k] = dy_start + (at - first) * dy_rows.strides[0];
        }
        if (!is_run) {
            UNROLL
            for (uint k = 0; k < ROWS_AHEAD; k++) {
                x_at[k] = row_start(x_rows, min(row + k, last));
                dy_at[k] = row_start(dy_rows, min(row + k, last));
            }
        }
        vec<T, 4> values[ROWS_AHEAD];
        vec<T, 4> upstream[ROWS_AHEAD];
        float rstd[ROWS_AHEAD];
        UNROLL
        for (uint k = 0; k < ROWS_AHEAD; k++) {
            values[k] = four_at<FOURS>(x + x_at[k], x_rows, column, width);
            upstream[k] = four_at<FOURS>(dy + dy_at[k], dy_rows, column, width);
            rstd[k] = rstds[min(row + k, last)];
        }
        UNROLL
        for (uint k = 0; k < ROWS_AHEAD; k++) {
            float4 product = floats_of<T>(upstream[k]) * floats_of<T>(values[k]) * rstd[k];
            total += row + k <= last ? product : float4(0);
        }
    }
    write_four<FOURS>(parts + ulong(position.y) * width, total, column, width);
}

template [[host_name("rms_norm_weight_parts")]] [[kernel]] decltype(rms_norm_weight_parts<false>) rms_norm_weight_parts<false>;
template [[host_name("rms_norm_weight_parts_fours")]] [[kernel]] decltype(rms_norm_weight_parts<true>) rms_norm_weight_parts<true>;

// The sum of all parts. A threadgroup sums as many columns as a SIMD group has lanes: each SIMD group every so many-th part,
// then their sums in order.
kernel void rms_norm_weight_sum(
    device const float* parts [[buffer(0)]],
    device W* dweight [[buffer(1)]],
    constant uint& part_count [[buffer(2)]],
    constant uint& width [[buffer(3)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float sums[SIMD * SIMD];
    uint column = group * SIMD + thread_index % SIMD;
    float sum = 0;
    if (column < width) {
        for (uint part = thread_index / SIMD; part < part_count; part += threads / SIMD) {
            sum += parts[ulong(part) * width + column];
        }
    }
    sums[thread_index] = sum;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (thread_index < SIMD && column < width) {
        for (uint other = thread_index + SIMD; other < threads; other += SIMD) {
            sum += sums[other];
        }
        dweight[column] = W(sum);
    }
}
