// Few queries against many keys: the time is that of reading the keys and values.
//
// Of many keys, a SIMD group computes what one query gives with one range; the SIMD groups of a
// threadgroup have heads of one group, which read the same keys at the same time. The results of the
// ranges are joined like those of tiles. Of fewer keys, one threadgroup has all.

// Keys that are read before any of them is needed.
constant constexpr uint AHEAD = 4;

// What a query gives with keys: a part of its result, not divided by the sum yet. A lane has every 32nd column.
template <uint WIDTH>
struct Seen {
    float sums[WIDTH / SIMD];
    float largest;
    float total;
};

// What `query` gives with AHEAD keys from `start` on, and from every `step` keys behind it, before `end`. WIDTH is D at least.
template <uint WIDTH>
inline Seen<WIDTH> seen_of(
    Tokens<Q> queries,
    Tokens<K> keys,
    Tokens<V> values,
    Mask mask,
    constant Sizes& sizes,
    uint query,
    uint3 range,
    uint lane)
{
    uint end = range.y;
    Seen<WIDTH> seen;
    float own[WIDTH / SIMD];
    UNROLL
    for (uint i = 0; i < WIDTH / SIMD; i++) {
        uint d = lane + i * SIMD;
        own[i] = d < sizes.width ? float(queries.data[query * queries.token + d * queries.element]) : 0.0f;
        seen.sums[i] = 0;
    }
    seen.largest = -INFINITY;
    seen.total = 0;
    for (uint key = range.x; key < end; key += range.z) {
        float scores[AHEAD];
        float next = seen.largest;
        UNROLL
        for (uint j = 0; j < AHEAD; j++) {
            scores[j] = -INFINITY;
            if (key + j < end && mask.sees(query, key + j)) {
                float product = 0;
                UNROLL
                for (uint i = 0; i < WIDTH / SIMD; i++) {
                    uint d = lane + i * SIMD;
                    if (d < sizes.width) {
                        product += own[i] * float(keys.data[(key + j) * keys.token + d * keys.element]);
                    }
                }
                scores[j] = sizes.scale * simd_sum(product);
                if (sizes.softcap != 0) {
                    scores[j] = softcap(scores[j], sizes.softcap);
                }
            }
            next = max(next, scores[j]);
        }
        float shift = next == -INFINITY ? 0.0f : next;
        float factor = exp_of_difference(seen.largest, shift);
        seen.total *= factor;
        UNROLL
        for (uint i = 0; i < WIDTH / SIMD; i++) {
            seen.sums[i] *= factor;
        }
        UNROLL
        for (uint j = 0; j < AHEAD; j++) {
            if (key + j < end && mask.sees(query, key + j)) {
                float p = exp_of_difference(scores[j], shift);
                seen.total += p;
                UNROLL
                for (uint i = 0; i < WIDTH / SIMD; i++) {
                    uint d = lane + i * SIMD;
                    if (d < sizes.width) {
                        seen.sums[i] += p * float(values.data[(key + j) * values.token + d * values.element]);
                    }
                }
            }
        }
        seen.largest = next;
    }
    return seen;
}

// Parts of the result, (B, H, Tq, ranges, D), and their statistics. Ranges are in x, batch and key-value heads in y, queries
// in z.
template <uint WIDTH>
kernel void attention_decode(
    device const Q* q [[buffer(0)]],
    constant Strides& q_strides [[buffer(1)]],
    device const K* k [[buffer(2)]],
    constant Strides& k_strides [[buffer(3)]],
    device const V* v [[buffer(4)]],
    constant Strides& v_strides [[buffer(5)]],
    device const uint* seen [[buffer(6)]],
    constant Strides& seen_strides [[buffer(7)]],
    constant Sizes& sizes [[buffer(8)]],
    device float* parts [[buffer(9)]],
    device float2* statistics [[buffer(10)]],
    constant uint& range [[buffer(11)]],
    uint3 at [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint simds [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint kv_heads = sizes.heads / sizes.group;
    uint batch = at.y / kv_heads, kv_head = at.y % kv_heads, query = at.z;
    Mask mask = mask_of(seen, seen_strides, batch, sizes);
    Tokens<K> keys = tokens_of(k, k_strides, batch, kv_head, sizes.keys, sizes.width);
    Tokens<V> values = tokens_of(v, v_strides, batch, kv_head, sizes.keys, sizes.width);
    uint2 seen_keys = mask.keys_of(query, 1, lane);
    uint start = max(at.x * range, seen_keys.x);
    uint end = min((at.x + 1) * range, seen_keys.y);
    for (uint member = simd_index; member < sizes.group; member += simds) {
        uint head = kv_head * sizes.group + member;
        Tokens<Q> queries = tokens_of(q, q_strides, batch, head, sizes.queries, sizes.width);
        uint3 own = uint3(start, end, AHEAD);
        Seen<WIDTH> part_of = seen_of<WIDTH>(queries, keys, values, mask, sizes, query, own, lane);
        ulong row = (ulong(batch) * sizes.heads + head) * sizes.queries + query;
        ulong part = row * groups.x + at.x;
        UNROLL
        for (uint i = 0; i < WIDTH / SIMD; i++) {
            uint d = lane + i * SIMD;
            if (d < sizes.width) {
                parts[part * sizes.width + d] = part_of.sums[i];
            }
        }
        if (lane == 0) {
            statistics[part] = float2(part_of.largest, part_of.total);
        }
    }
}

template [[host_name("attention_decode_64")]] [[kernel]] decltype(attention_decode<64>) attention_decode<64>;
template [[host_name("attention_decode_128")]] [[kernel]] decltype(attention_decode<128>) attention_decode<128>;
template [[host_name("attention_decode_256")]] [[kernel]] decltype(attention_decode<256>) attention_decode<256>;

constant constexpr uint MOST_SIMDS = 16;

// The result in one launch, (B, H, Tq, D), and its statistics: the SIMD groups of a threadgroup share the keys of one query and
// head, and join what they found in its memory. Heads are in x, queries in y, batch in z.
template <uint WIDTH>
kernel void attention_decode_whole(
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
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint simds [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float sums[MOST_SIMDS * WIDTH];
    threadgroup float2 parts[MOST_SIMDS];
    uint head = at.x, query = at.y, batch = at.z;
    Mask mask = mask_of(seen, seen_strides, batch, sizes);
    Tokens<Q> queries = tokens_of(q, q_strides, batch, head, sizes.queries, sizes.width);
    Tokens<K> keys = tokens_of(k, k_strides, batch, head / sizes.group, sizes.keys, sizes.width);
    Tokens<V> values = tokens_of(v, v_strides, batch, head / sizes.group, sizes.keys, sizes.width);
    uint2 seen_keys = mask.keys_of(query, 1, lane);
    uint3 range = uint3(seen_keys.x + simd_index * AHEAD, seen_keys.y, simds * AHEAD);
    Seen<WIDTH> own = seen_of<WIDTH>(queries, keys, values, mask, sizes, query, range, lane);
    UNROLL
    for (uint i = 0; i < WIDTH / SIMD; i++) {
        sums[simd_index * WIDTH + lane + i * SIMD] = own.sums[i];
    }
    if (lane == 0) {
        parts[simd_index] = float2(own.largest, own.total);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float2 start = before_keys(sinks, sinks_strides, sizes, head);
    float largest = start.x;
    for (uint i = 0; i < simds; i++) {
        largest = max(largest, parts[i].x);
    }
    // In no span, a query sees no key: -inf - -inf would be no number.
    float shift = largest == -INFINITY ? 0.0f : largest;
    float total = start.y * exp_of_difference(start.x, shift);
    for (uint i = 0; i < simds; i++) {
        total += parts[i].y * exp_of_difference(parts[i].x, shift);
    }
    float inverse = total == 0 ? 0.0f : 1 / total;
    ulong row = (ulong(batch) * sizes.heads + head) * sizes.queries + query;
    for (uint d = simd_index * SIMD + lane; d < sizes.width; d += simds * SIMD) {
        float sum = 0;
        for (uint i = 0; i < simds; i++) {
            sum += exp_of_difference(parts[i].x, shift) * sums[i * WIDTH + d];
        }
        y[row * sizes.width + d] = sum * inverse;
    }
    if (simd_index == 0 && lane == 0) {
        statistics[row] = float2(largest, inverse);
    }
}

template [[host_name("attention_decode_whole_64")]] [[kernel]] decltype(attention_decode_whole<64>) attention_decode_whole<64>;
template [[host_name("attention_decode_whole_128")]] [[kernel]] decltype(attention_decode_whole<128>) attention_decode_whole<128>;
template [[host_name("attention_decode_whole_256")]] [[kernel]] decltype(attention_decode_whole<256>) attention_decode_whole<256>;

// One result from those of all ranges. A threadgroup computes one row.
kernel void attention_join(
    device const float* parts [[buffer(0)]],
    device const float2* part_statistics [[buffer(1)]],
    device const float* sinks [[buffer(2)]],
    constant Strides& sinks_strides [[buffer(3)]],
    constant Sizes& sizes [[buffer(4)]],
    constant uint& ranges [[buffer(5)]],
    device float* y [[buffer(6)]],
    device float2* statistics [[buffer(7)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]])
{
    threadgroup float shared[SIMD];
    uint width = sizes.width;
    parts += ulong(row) * ranges * width;
    part_statistics += ulong(row) * ranges;
    float2 start = before_keys(sinks, sinks_strides, sizes, row / sizes.queries % sizes.heads);
    float largest = start.x;
    for (uint i = thread_index; i < ranges; i += threads) {
        largest = max(largest, part_statistics[i].x);
    }
    largest = group_max(largest, shared, thread_index, threads);
    // In no span, a query sees no key: -inf - -inf would be no number.
    float shift = largest == -INFINITY ? 0.0f : largest;
    float total = thread_index == 0 ? start.y * exp_of_difference(start.x, shift) : 0.0f;
    for (uint i = thread_index; i < ranges; i += threads) {
        total += part_statistics[i].y * exp_of_difference(part_statistics[i].x, shift);
    }
    total = group_sum(total, shared, thread_index, threads);
    float inverse = total == 0 ? 0.0f : 1 / total;
    for (uint d = thread_index; d < width; d += threads) {
        float sum = 0;
        for (uint i = 0; i < ranges; i++) {
            sum += exp_of_difference(part_statistics[i].x, shift) * parts[i * width + d];
        }
        y[ulong(row) * width + d] = sum * inverse;
    }
    if (thread_index == 0) {
        statistics[row] = float2(largest, inverse);
    }
}
