// H: dtype of the hidden state. `first` is the first of the trained rows in this chunk.

// rows = hidden[indices]: a chunk of the trained rows, (rows, width).
kernel void loss_gather(
    device const H* hidden [[buffer(0)]],
    constant Strides& strides [[buffer(1)]],
    device const uint* indices [[buffer(2)]],
    constant Strides& index_strides [[buffer(3)]],
    constant uint& first [[buffer(4)]],
    constant uint& width [[buffer(5)]],
    device float* rows [[buffer(6)]],
    uint2 at [[thread_position_in_grid]])
{
    ulong index = indices[(first + at.y) * index_strides.column];
    rows[ulong(at.y) * width + at.x] = float(hidden[index * strides.row + at.x * strides.column]);
}

// Zeros, where rows of the gradient have no loss.
kernel void loss_zeros(
    constant uint& width [[buffer(0)]],
    device float* hidden [[buffer(1)]],
    uint2 at [[thread_position_in_grid]])
{
    hidden[ulong(at.y) * width + at.x] = 0;
}

// hidden[indices] = the sum of `parts` of the rows, (parts, rows, width).
kernel void loss_scatter(
    device const float* rows [[buffer(0)]],
    device const uint* indices [[buffer(1)]],
    constant Strides& index_strides [[buffer(2)]],
    constant uint& first [[buffer(3)]],
    constant uint& width [[buffer(4)]],
    constant uint& parts [[buffer(5)]],
    device float* hidden [[buffer(6)]],
    uint2 at [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    float sum = 0;
    for (uint part = 0; part < parts; part++) {
        sum += rows[(ulong(part) * grid.y + at.y) * width + at.x];
    }
    ulong index = indices[(first + at.y) * index_strides.column];
    hidden[index * width + at.x] = sum;
}

// Four logits of a row from `at` on; those from `width` on are -inf.
template <bool FOURS>
inline float4 logits_at(device const float* logits, uint at, uint width) {
    if (FOURS) {
        return *(device const float4*)(logits + at);
    }
    float4 four;
    UNROLL
    for (uint i = 0; i < 4; i++) {
        four[i] = at + i < width ? logits[at + i] : -INFINITY;
    }
    return four;
}

// loss = max + ln(sum of exp(x - max)) - x_target for the logits x of a row, which become
// softmax(x) - onehot(target) where a gradient is wanted. A threadgroup computes one row. BOUNDED: the
// logits are bounded first, and their gradient is that of what they were before. FOURS: rows are whole fours of logits.
template <bool BOUNDED, bool FOURS>
kernel void loss_rows(
    device float* logits [[buffer(0)]],
    device const uint* targets [[buffer(1)]],
    constant Strides& target_strides [[buffer(2)]],
    constant uint& first [[buffer(3)]],
    constant uint& width [[buffer(4)]],
    constant uint& differentiate [[buffer(5)]],
    device float* losses [[buffer(6)]],
    constant float& cap [[buffer(7)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    logits += ulong(row) * width;
    if (BOUNDED) {
        for (uint at = 4 * thread_index; at < width; at += 4 * threads) {
            float4 x = logits_at<FOURS>(logits, at, width);
            UNROLL
            for (uint i = 0; i < 4; i++) {
                x[i] = softcap(x[i], cap);
            }
            write_four<FOURS>(logits, x, at, width);
        }
        threadgroup_barrier(mem_flags::mem_device);
    }
    uint target = targets[(first + row) * target_strides.column];
    float target_logit = logits[target];
    // Of what this thread has seen so far; the sum shrinks whenever the maximum grows.
    float own = -INFINITY, sum = 0;
    for (uint at = 4 * thread_index; at < width; at += 4 * threads) {
        float4 x = logits_at<FOURS>(logits, at, width);
        float next = max(own, max_of(x));
        sum *= exp_of_difference(own, next);
        UNROLL
        for (uint i = 0; i < 4; i++) {
            sum += exp_of_difference(x[i], next);
        }
        own = next;
    }
    float largest = group_max(own, shared, thread_index, threads);
    sum = group_sum(sum == 0 ? 0.0f : sum * exp_of_difference(own, largest), shared, thread_index, threads);
    if (thread_index == 0) {
        losses[first + row] = largest - target_logit + log(sum);
    }
    if (differentiate != 0) {
        // Every thread has read the logit of the target.
        threadgroup_barrier(mem_flags::mem_device);
        float inverse = 1 / sum;
        for (uint at = 4 * thread_index; at < width; at += 4 * threads) {
            float4 x = logits_at<FOURS>(logits, at, width);
            UNROLL
            for (uint i = 0; i < 4; i++) {
                float slope = BOUNDED ? softcap_slope(x[i], cap) : 1.0f;
                x[i] = slope * (exp_of_difference(x[i], largest) * inverse - (at + i == target ? 1.0f : 0.0f));
            }
            write_four<FOURS>(logits, x, at, width);
        }
    }
}

template [[host_name("loss_rows")]] [[kernel]] decltype(loss_rows<false, false>) loss_rows<false, false>;
template [[host_name("loss_rows_fours")]] [[kernel]] decltype(loss_rows<false, true>) loss_rows<false, true>;
template [[host_name("loss_rows_bounded")]] [[kernel]] decltype(loss_rows<true, false>) loss_rows<true, false>;
template [[host_name("loss_rows_bounded_fours")]] [[kernel]] decltype(loss_rows<true, true>) loss_rows<true, true>;

// The sum of all losses, by one threadgroup.
kernel void loss_total(
    device const float* losses [[buffer(0)]],
    constant uint& count [[buffer(1)]],
    device float* total [[buffer(2)]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    float sum = 0;
    for (uint i = thread_index; i < count; i += threads) {
        sum += losses[i];
    }
    sum = group_sum(sum, shared, thread_index, threads);
    if (thread_index == 0) {
        *total = sum;
    }
}
