// Sums of parts of tensors, of the squares of their numbers, a threadgroup for each part.

// Tensors of one launch at most.
constant constexpr uint MOST = 16;

struct Tensors {
    uint counts[MOST];
    // First part of each among those of all.
    uint starts[MOST];
    // Numbers of a part.
    uint part;
    // The tensor that is summed as it is, if any.
    uint plain;
};

kernel void squares(
    device const float* t_0 [[buffer(0)]],
    device const float* t_1 [[buffer(1)]],
    device const float* t_2 [[buffer(2)]],
    device const float* t_3 [[buffer(3)]],
    device const float* t_4 [[buffer(4)]],
    device const float* t_5 [[buffer(5)]],
    device const float* t_6 [[buffer(6)]],
    device const float* t_7 [[buffer(7)]],
    device const float* t_8 [[buffer(8)]],
    device const float* t_9 [[buffer(9)]],
    device const float* t_10 [[buffer(10)]],
    device const float* t_11 [[buffer(11)]],
    device const float* t_12 [[buffer(12)]],
    device const float* t_13 [[buffer(13)]],
    device const float* t_14 [[buffer(14)]],
    device const float* t_15 [[buffer(15)]],
    constant Tensors& tensors [[buffer(16)]],
    device float* sums [[buffer(17)]],
    uint at [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    device const float* all[MOST] = {
        t_0, t_1, t_2, t_3, t_4, t_5, t_6, t_7,
        t_8, t_9, t_10, t_11, t_12, t_13, t_14, t_15};
    uint which = 0;
    UNROLL
    for (uint i = 1; i < MOST; i++) {
        which += uint(at >= tensors.starts[i]);
    }
    uint first = (at - tensors.starts[which]) * tensors.part;
    uint end = min(first + tensors.part, tensors.counts[which]);
    device const float* numbers = all[which];
    float sum = 0;
    for (uint i = first + thread_index; i < end; i += threads) {
        sum += which == tensors.plain ? numbers[i] : numbers[i] * numbers[i];
    }
    sum = group_sum(sum, shared, thread_index, threads);
    if (thread_index == 0) {
        sums[at] = sum;
    }
}
