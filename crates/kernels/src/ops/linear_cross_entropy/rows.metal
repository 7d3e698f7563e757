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

// loss = max + ln(sum of exp(x - max)) - x_target for the logits x of a row, which become
// softmax(x) - onehot(target) where a gradient is wanted. A threadgroup computes one row. BOUNDED: the
// logits are bounded first, and their gradient is that of what they were before.
template <bool BOUNDED>
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
        for (uint i = thread_index; i < width; i += threads) {
            logits[i] = softcap(logits[i], cap);
        }
        threadgroup_barrier(mem_flags::mem_device);
    }
    uint target = targets[(first + row) * target_strides.column];
    float target_logit = logits[target];
    // Of what this thread has seen so far; the sum shrinks whenever the maximum grows.
    float largest = -INFINITY, sum = 0;
    for (uint i = thread_index; i < width; i += threads) {
        float x = logits[i];
        if (x > largest) {
            sum = sum * exp(largest - x) + 1;
            largest = x;
        } else {
            sum += exp(x - largest);
        }
    }
    float own = largest;
    largest = group_max(own, shared, thread_index, threads);
    sum = group_sum(sum == 0 ? 0.0f : sum * exp(own - largest), shared, thread_index, threads);
    if (thread_index == 0) {
        losses[first + row] = largest - target_logit + log(sum);
    }
    if (differentiate != 0) {
        // Every thread has read the logit of the target.
        threadgroup_barrier(mem_flags::mem_device);
        for (uint i = thread_index; i < width; i += threads) {
            float x = logits[i];
            float gradient = exp(x - largest) / sum - (i == target ? 1.0f : 0.0f);
            logits[i] = BOUNDED ? gradient * softcap_slope(x, cap) : gradient;
        }
    }
}

template [[host_name("loss_rows")]] [[kernel]] decltype(loss_rows<false>) loss_rows<false>;
template [[host_name("loss_rows_bounded")]] [[kernel]] decltype(loss_rows<true>) loss_rows<true>;

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
