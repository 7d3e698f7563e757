// A threadgroup finds the first of the largest of a row's numbers, or NONE.

constant constexpr uint NONE = 0xFFFFFFFF;

template <bool FOURS>
kernel void most_likely(
    device const float* logits [[buffer(0)]],
    constant Rows& rows [[buffer(1)]],
    device uint* tokens [[buffer(2)]],
    constant uint& width [[buffer(3)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float values[SIMD];
    threadgroup float indices[SIMD];
    threadgroup float faults[SIMD];
    logits += row_start(rows, row);
    float best = -INFINITY;
    uint found = NONE;
    float is_wrong = 0;
    for (uint at = 4 * thread_index; at < width; at += 4 * threads) {
        float4 four = read_four<FOURS>(logits, rows, at, width, -INFINITY);
        UNROLL
        for (uint i = 0; i < 4; i++) {
            // NaN is not less than anything.
            is_wrong = four[i] < INFINITY ? is_wrong : 1.0f;
            if (four[i] > best) {
                best = four[i];
                found = at + i;
            }
        }
    }
    float largest = group_max(best, values, thread_index, threads);
    is_wrong = group_max(is_wrong, faults, thread_index, threads);
    // The smallest index is the largest of those that are taken away from the width; 2^24 is more than there are tokens.
    float place = found != NONE && best == largest ? float(width - found) : 0.0f;
    place = group_max(place, indices, thread_index, threads);
    if (thread_index == 0) {
        tokens[row] = is_wrong > 0 || place == 0 ? NONE : width - uint(place);
    }
}

template [[host_name("most_likely")]] [[kernel]] decltype(most_likely<false>) most_likely<false>;
template [[host_name("most_likely_fours")]] [[kernel]] decltype(most_likely<true>) most_likely<true>;
