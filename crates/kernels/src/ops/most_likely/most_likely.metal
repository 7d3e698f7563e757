// A threadgroup finds the first of the largest of a row's numbers, or NONE.

constant constexpr uint NONE = 0xFFFFFFFF;

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
    for (uint i = thread_index; i < width; i += threads) {
        float value = logits[i * rows.stride];
        // NaN is not less than anything.
        is_wrong = value < INFINITY ? is_wrong : 1.0f;
        if (value > best) {
            best = value;
            found = i;
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
