// The probabilities are computed again from the statistics of forward: p = exp(s - max) * (1 / sum).

// Of every row of scores, sum_j p_j dp_j = dy y^T, (B, H, Tq). The products are those of dp = dy v^T in the
// same order: where one key takes all, y is its value, and dp - delta must vanish.
kernel void attention_delta(
    device const float* y [[buffer(0)]],
    constant Strides& y_strides [[buffer(1)]],
    device const Q* dy [[buffer(2)]],
    constant Strides& dy_strides [[buffer(3)]],
    constant Sizes& sizes [[buffer(4)]],
    device float* deltas [[buffer(5)]],
    uint3 at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float rows[TILE * STEP];
    threadgroup float tokens[TILE * STEP];
    threadgroup float scores[TILE * STEP];
    Group group = group_of(rows, tokens, scores, simd_index, lane);
    uint batch = at.y / sizes.heads, head = at.y % sizes.heads, first = at.x * TILE;
    Tokens<Q> left = tokens_of(dy, dy_strides, batch, head, sizes.queries, sizes.width);
    Tokens<float> right = tokens_of(y, y_strides, batch, head, sizes.queries, sizes.width);
    multiply(left, first, right, first, group);
    uint row = group.row();
    if (lane % 4 == 0 && first + row < sizes.queries) {
        deltas[ulong(at.y) * sizes.queries + first + row] = group.scores[lane / 4 * STEP + row];
    }
}

// dq = ds k, with ds = scale p (dp - delta), times the derivative of a bound.
template <uint WIDTH>
kernel void attention_queries(
    device const Q* q [[buffer(0)]],
    constant Strides& q_strides [[buffer(1)]],
    device const K* k [[buffer(2)]],
    constant Strides& k_strides [[buffer(3)]],
    device const V* v [[buffer(4)]],
    constant Strides& v_strides [[buffer(5)]],
    device const uint* seen [[buffer(6)]],
    constant Strides& seen_strides [[buffer(7)]],
    constant Sizes& sizes [[buffer(8)]],
    device const Q* dy [[buffer(9)]],
    constant Strides& dy_strides [[buffer(10)]],
    device const float2* statistics [[buffer(11)]],
    device const float* deltas [[buffer(12)]],
    device Q* dq [[buffer(13)]],
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
    Tokens<Q> upstream = tokens_of(dy, dy_strides, batch, head, sizes.queries, sizes.width);

    // Under a causal mask the last queries see most: they come first.
    uint first = (groups.x - 1 - at.x) * TILE;
    uint query = first + group.row();
    ulong row = ulong(at.y) * sizes.queries + min(query, sizes.queries - 1);
    float2 statistic = statistics[row];
    float delta = deltas[row];
    Sums<WIDTH> sums;
    sums.clear();
    uint2 seen_keys = mask.keys_of(first, TILE, lane);
    for (uint key = seen_keys.x / TILE * TILE; key < seen_keys.y; key += TILE) {
        multiply(queries, first, keys, key, group);
        float scale = group.bound(sizes);
        float p[SEEN];
        UNROLL
        for (uint i = 0; i < SEEN; i++) {
            bool is_seen = mask.sees(query, key + group.column(i));
            p[i] = is_seen ? exp_of_difference(scale * group.score(i), statistic.x) * statistic.y : 0.0f;
        }
        group.replace_scores(p, sizes);
        multiply(upstream, first, values, key, group);
        UNROLL
        for (uint i = 0; i < SEEN; i++) {
            group.score(i) = sizes.scale * p[i] * (group.score(i) - delta);
        }
        sums.add(keys, key, column, group);
    }
    ulong head_start = ulong(at.y) * sizes.queries * sizes.width;
    sums.write(dq + head_start, first, sizes.queries, column, sizes.width, group);
}

template [[host_name("attention_queries_64")]] [[kernel]] decltype(attention_queries<64>) attention_queries<64>;
template [[host_name("attention_queries_128")]] [[kernel]] decltype(attention_queries<128>) attention_queries<128>;

// Which gradients are wanted; the other is not written.
struct Wanted {
    uint dk;
    uint dv;
};

// dk = ds^T q and dv = p^T dy: a threadgroup adds up over the heads of the group and their queries, in
// order. Batch and key-value heads are in y.
template <uint WIDTH>
kernel void attention_keys(
    device const Q* q [[buffer(0)]],
    constant Strides& q_strides [[buffer(1)]],
    device const K* k [[buffer(2)]],
    constant Strides& k_strides [[buffer(3)]],
    device const V* v [[buffer(4)]],
    constant Strides& v_strides [[buffer(5)]],
    device const uint* seen [[buffer(6)]],
    constant Strides& seen_strides [[buffer(7)]],
    constant Sizes& sizes [[buffer(8)]],
    device const Q* dy [[buffer(9)]],
    constant Strides& dy_strides [[buffer(10)]],
    device const float2* statistics [[buffer(11)]],
    device const float* deltas [[buffer(12)]],
    constant Wanted& wanted [[buffer(13)]],
    device K* dk [[buffer(14)]],
    device V* dv [[buffer(15)]],
    uint3 at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float rows[TILE * STEP];
    threadgroup float tokens[TILE * STEP];
    threadgroup float scores[TILE * STEP];
    Group group = group_of(rows, tokens, scores, simd_index, lane);
    uint kv_heads = sizes.heads / sizes.group;
    uint batch = at.y / kv_heads, kv_head = at.y % kv_heads, column = at.z * WIDTH;
    Mask mask = mask_of(seen, seen_strides, batch, sizes);
    Tokens<K> keys = tokens_of(k, k_strides, batch, kv_head, sizes.keys, sizes.width);
    Tokens<V> values = tokens_of(v, v_strides, batch, kv_head, sizes.keys, sizes.width);

    uint first = at.x * TILE;
    uint key = first + group.row();
    uint2 seeing = mask.queries_of(first);
    Sums<WIDTH> dk_sums, dv_sums;
    dk_sums.clear();
    dv_sums.clear();
    for (uint member = 0; member < sizes.group; member++) {
        uint head = kv_head * sizes.group + member;
        Tokens<Q> queries = tokens_of(q, q_strides, batch, head, sizes.queries, sizes.width);
        Tokens<Q> upstream = tokens_of(dy, dy_strides, batch, head, sizes.queries, sizes.width);
        ulong row = (ulong(batch) * sizes.heads + head) * sizes.queries;
        for (uint query = seeing.x; query < seeing.y; query += TILE) {
            if (mask.hides(query, first, lane)) {
                continue;
            }
            multiply(keys, first, queries, query, group);
            float scale = group.bound(sizes);
            float p[SEEN];
            UNROLL
            for (uint i = 0; i < SEEN; i++) {
                uint own = query + group.column(i);
                p[i] = 0;
                if (mask.sees(own, key)) {
                    float2 statistic = statistics[row + own];
                    p[i] = exp_of_difference(scale * group.score(i), statistic.x) * statistic.y;
                }
            }
            group.replace_scores(p, sizes);
            if (wanted.dv != 0) {
                dv_sums.add(upstream, query, column, group);
            }
            if (wanted.dk != 0) {
                multiply(values, first, upstream, query, group);
                UNROLL
                for (uint i = 0; i < SEEN; i++) {
                    float delta = deltas[row + min(query + group.column(i), sizes.queries - 1)];
                    group.score(i) = sizes.scale * p[i] * (group.score(i) - delta);
                }
                dk_sums.add(queries, query, column, group);
            }
        }
    }
    ulong head_start = ulong(at.y) * sizes.keys * sizes.width;
    if (wanted.dk != 0) {
        dk_sums.write(dk + head_start, first, sizes.keys, column, sizes.width, group);
    }
    if (wanted.dv != 0) {
        dv_sums.write(dv + head_start, first, sizes.keys, column, sizes.width, group);
    }
}

template [[host_name("attention_keys_64")]] [[kernel]] decltype(attention_keys<64>) attention_keys<64>;
template [[host_name("attention_keys_128")]] [[kernel]] decltype(attention_keys<128>) attention_keys<128>;
