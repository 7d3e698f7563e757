// Sums of parts of tensors, of the squares of their numbers, a threadgroup for each part. FOURS: four numbers may be read at once
// in every tensor.

// Tensors of one launch at most.
constant constexpr uint MOST = 29;

struct Tensors {
    uint counts[MOST];
    // First part of each among those of all.
    uint starts[MOST];
    // Numbers of a part.
    uint part;
    // The tensor that is summed as it is, if any.
    uint plain;
};

template <bool FOURS>
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
    device const float* t_16 [[buffer(16)]],
    device const float* t_17 [[buffer(17)]],
    device const float* t_18 [[buffer(18)]],
    device const float* t_19 [[buffer(19)]],
    device const float* t_20 [[buffer(20)]],
    device const float* t_21 [[buffer(21)]],
    device const float* t_22 [[buffer(22)]],
    device const float* t_23 [[buffer(23)]],
    device const float* t_24 [[buffer(24)]],
    device const float* t_25 [[buffer(25)]],
    device const float* t_26 [[buffer(26)]],
    device const float* t_27 [[buffer(27)]],
    device const float* t_28 [[buffer(28)]],
    constant Tensors& tensors [[buffer(29)]],
    device float* sums [[buffer(30)]],
    uint at [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    device const float* all[MOST] = {
        t_0, t_1, t_2, t_3, t_4, t_5, t_6, t_7,
        t_8, t_9, t_10, t_11, t_12, t_13, t_14, t_15,
        t_16, t_17, t_18, t_19, t_20, t_21, t_22, t_23,
        t_24, t_25, t_26, t_27, t_28};
    uint which = 0;
    UNROLL
    for (uint i = 1; i < MOST; i++) {
        which += uint(at >= tensors.starts[i]);
    }
    uint first = (at - tensors.starts[which]) * tensors.part;
    uint end = min(first + tensors.part, tensors.counts[which]);
    device const float* numbers = all[which];
    bool is_plain = which == tensors.plain;
    float sum = 0;
    for (uint i = first + 4 * thread_index; i < end; i += 4 * threads) {
        float4 four;
        if (FOURS && i + 4 <= end) {
            four = *(device const float4*)(numbers + i);
        } else {
            UNROLL
            for (uint j = 0; j < 4; j++) {
                four[j] = i + j < end ? numbers[i + j] : 0.0f;
            }
        }
        four = is_plain ? four : four * four;
        sum += (four.x + four.y) + (four.z + four.w);
    }
    sum = group_sum(sum, shared, thread_index, threads);
    if (thread_index == 0) {
        sums[at] = sum;
    }
}

template [[host_name("squares")]] [[kernel]] decltype(squares<false>) squares<false>;
template [[host_name("squares_fours")]] [[kernel]] decltype(squares<true>) squares<true>;
