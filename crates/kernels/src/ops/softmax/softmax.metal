// T: dtype of the tensors. A threadgroup computes one row, which its threads keep where it fits.

// Maximum of nothing: finite, so that nothing is infinity minus infinity unless the row has it.
constant constexpr float LOWEST = -3.40282347e38f;

inline Part exponentials(Part part, float largest) {
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        UNROLL
        for (uint i = 0; i < 4; i++) {
            part.fours[k][i] = exp_of_difference(part.fours[k][i], largest);
        }
    }
    return part;
}

// The largest of a SIMD group, and the sum of `sum`, each of which is relative to its lane's `largest`.
inline void combine(thread float& largest, thread float& sum) {
    float before = largest;
    largest = simd_max(before);
    sum = simd_sum(sum * exp_of_difference(before, largest));
}

template <bool FOURS>
kernel void softmax_forward(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device T* y [[buffer(2)]],
    constant uint& width [[buffer(3)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float maxima[SIMD];
    threadgroup float sums[SIMD];
    x += row_start(x_rows, row);
    y += ulong(row) * width;
    uint step = kept_by(threads);
    Part part;
    float largest = LOWEST;
    float sum = 0;
    for (uint first = 4 * thread_index; first < width; first += step) {
        part = read_part<FOURS>(x, x_rows, first, threads, width, -INFINITY);
        float before = largest;
        UNROLL
        for (uint k = 0; k < KEPT; k++) {
            largest = max(largest, max_of(part.fours[k]));
        }
        part = exponentials(part, largest);
        sum *= exp_of_difference(before, largest);
        UNROLL
        for (uint k = 0; k < KEPT; k++) {
            sum += sum_of(part.fours[k]);
        }
    }
    float own = largest;
    combine(largest, sum);
    if (threads > SIMD) {
        if (thread_index % SIMD == 0) {
            maxima[thread_index / SIMD] = largest;
            sums[thread_index / SIMD] = sum;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        largest = shared_value(maxima, thread_index, threads, LOWEST);
        sum = shared_value(sums, thread_index, threads, 0);
        combine(largest, sum);
    }
    float factor = exp_of_difference(own, largest) / sum;
    for (uint first = 4 * thread_index; first < width; first += step) {
        if (step < width) {
            part = exponentials(read_part<FOURS>(x, x_rows, first, threads, width, -INFINITY), own);
        }
        write_part<FOURS>(y, scaled(part, factor), first, threads, width);
    }
}

template [[host_name("softmax_forward")]] [[kernel]] decltype(softmax_forward<false>) softmax_forward<false>;
template [[host_name("softmax_forward_fours")]] [[kernel]] decltype(softmax_forward<true>) softmax_forward<true>;

// dx = y (dy - sum(dy y)).
template <bool FOURS>
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
    uint step = kept_by(threads);
    Part result;
    Part upstream;
    float total = 0;
    for (uint first = 4 * thread_index; first < width; first += step) {
        result = read_part<FOURS>(y, y_rows, first, threads, width, 0);
        upstream = read_part<FOURS>(dy, dy_rows, first, threads, width, 0);
        total += dot(result, upstream);
    }
    total = group_sum(total, shared, thread_index, threads);
    for (uint first = 4 * thread_index; first < width; first += step) {
        if (step < width) {
            result = read_part<FOURS>(y, y_rows, first, threads, width, 0);
            upstream = read_part<FOURS>(dy, dy_rows, first, threads, width, 0);
        }
        Part gradient = upstream;
        UNROLL
        for (uint k = 0; k < KEPT; k++) {
            gradient.fours[k] = gradient.fours[k] - total;
        }
        write_part<FOURS>(dx, times(result, gradient), first, threads, width);
    }
}

template [[host_name("softmax_backward")]] [[kernel]] decltype(softmax_backward<false>) softmax_backward<false>;
template [[host_name("softmax_backward_fours")]] [[kernel]] decltype(softmax_backward<true>) softmax_backward<true>;
