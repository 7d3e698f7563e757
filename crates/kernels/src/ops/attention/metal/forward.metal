// The result, and of every row of scores the maximum and 1 / sum of exp(score - maximum), (B, H, Tq).
//
// The scores of one tile exist at a time: y = sum_j exp(s_j - max) v_j for the largest so far, which is
// multiplied with exp(max - new max) when a later tile has a larger one.
template <uint WIDTH>
kernel void attention_forward(
    device const Q* q [[buffer(0)]],
    constant Strides& q_strides [[buffer(1)]],
    device const K* k [[buffer(2)]],
    constant Strides& k_strides [[buffer(3)]],
    device const V* v [[buffer(4)]],
    constant Strides& v_strides [[buffer(5)]],
    device const uint* seen [[buffer(6)]],
    constant Strides& seen_strides [[buffer(7)]],
    constant Sizes& sizes [[buffer(8)]],
    device const float* sinks [[buffer(9)]],
    constant Strides& sinks_strides [[buffer(10)]],
    device float* y [[buffer(11)]],
    device float2* statistics [[buffer(12)]],
    uint3 at [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float rows[TILE * STEP];
    threadgroup float tokens[TILE * STEP];
    threadgroup float scores[TILE * STEP];
    Group group = group_of(rows, tokens, scores, simd_index, lane);
    uint batch = at.y / sizes.heads, head = at.y % sizes.heads, column = at.z * WIDTH;
    Mask mask = mask_of(seen, seen_strides, batch, sizes);
    Tokens<Q> queries = tokens_of(q, q_strides, batch, head, sizes.queries, sizes.width);
    Tokens<K> keys = tokens_of(k, k_strides, batch, head / sizes.group, sizes.keys, sizes.width);
    Tokens<V> values = tokens_of(v, v_strides, batch, head / sizes.group, sizes.keys, sizes.width);

    // Under a causal mask the last queries see most: they come first.
    uint first = (groups.x - 1 - at.x) * TILE;
    uint query = first + group.row();
    Sums<WIDTH> sums;
    sums.clear();
    float2 start = before_keys(sinks, sinks_strides, sizes, head);
    float largest = start.x, total = start.y;
    uint2 seen_keys = mask.keys_of(first, TILE, lane);
    for (uint key = seen_keys.x / TILE * TILE; key < seen_keys.y; key += TILE) {
        multiply(queries, first, keys, key, group);
        float scale = group.bound(sizes);
        float shown[SEEN];
        float next = largest;
        UNROLL
        for (uint i = 0; i < SEEN; i++) {
            shown[i] = mask.sees(query, key + group.column(i)) ? scale * group.score(i) : -INFINITY;
            next = max(next, shown[i]);
        }
        next = row_max(next);
        // Where no key is visible yet, -inf - -inf would be no number.
        float shift = next == -INFINITY ? 0.0f : next;
        float factor = exp_of_difference(largest, shift);
        if (simd_max(total != 0 && factor != 1 ? 1 : 0) != 0) {
            sums.scale(factor, group);
        }
        float part = 0;
        UNROLL
        for (uint i = 0; i < SEEN; i++) {
            float p = exp_of_difference(shown[i], shift);
            group.score(i) = p;
            part += p;
        }
        total = total * factor + row_sum(part);
        largest = next;
        sums.add(values, key, column, group);
    }
    // In no span, a query sees no key.
    float inverse = total == 0 ? 0.0f : 1 / total;
    sums.scale(inverse, group);
    sums.write(y + ulong(at.y) * sizes.queries * sizes.width, first, sizes.queries, column, sizes.width, group);
    if (at.z == 0 && lane % 4 == 0 && query < sizes.queries) {
        statistics[ulong(at.y) * sizes.queries + query] = float2(largest, inverse);
    }
}

template [[host_name("attention_forward_64")]] [[kernel]] decltype(attention_forward<64>) attention_forward<64>;
template [[host_name("attention_forward_128")]] [[kernel]] decltype(attention_forward<128>) attention_forward<128>;
