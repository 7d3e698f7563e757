// T: dtype of x, C: dtype of the tables. A thread (x) rotates fours of pairs of a row (y); those that come after these threads
// copy four elements each that are no part of a pair.

struct Pairs {
    uint count;
    // Not 0 where pair p is the elements 2p and 2p + 1; else it is p and p + count.
    uint interleaved;
};

// Where four pairs are in a row: their first four elements, and their last.
struct Place {
    uint low;
    uint high;
};

inline Place place_of(constant Pairs& pairs, uint pair) {
    if (pairs.interleaved != 0) {
        return Place { 2 * pair, 2 * pair + 4 };
    }
    return Place { pair, pairs.count + pair };
}

// The rotation of `low` and `high` by four angles, where they are.
inline void rotate(thread float4& low, thread float4& high, float4 cosine, float4 sine, bool interleaved) {
    float4 first = low;
    float4 second = high;
    if (interleaved) {
        first = float4(low.x, low.z, high.x, high.z);
        second = float4(low.y, low.w, high.y, high.w);
    }
    float4 left = first * cosine - second * sine;
    float4 right = second * cosine + first * sine;
    low = interleaved ? float4(left.x, right.x, left.y, right.y) : left;
    high = interleaved ? float4(left.z, right.z, left.w, right.w) : right;
}

// The tables have the same rows. `sign` is 1 for the rotation and -1 for its inverse, which is the gradient.
template <bool FOURS>
kernel void rope(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const C* cosines [[buffer(2)]],
    constant Rows& table_rows [[buffer(3)]],
    device const C* sines [[buffer(4)]],
    device T* y [[buffer(5)]],
    constant uint& width [[buffer(6)]],
    constant float& sign [[buffer(7)]],
    constant Pairs& pairs [[buffer(8)]],
    uint2 position [[thread_position_in_grid]])
{
    x += row_start(x_rows, position.y);
    y += ulong(position.y) * width;
    uint rotated = 2 * pairs.count;
    uint rotating = (pairs.count + 4 * FOURS_A_THREAD - 1) / (4 * FOURS_A_THREAD);
    if (position.x >= rotating) {
        uint at = rotated + 4 * (position.x - rotating);
        write_four<FOURS>(y, read_four<FOURS>(x, x_rows, at, width, 0), at, width);
        return;
    }
    ulong table_row = row_start(table_rows, position.y);
    uint low_end = pairs.interleaved != 0 ? rotated : pairs.count;
    float4 low[FOURS_A_THREAD];
    float4 high[FOURS_A_THREAD];
    float4 cosine[FOURS_A_THREAD];
    float4 sine[FOURS_A_THREAD];
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        uint pair = 4 * (position.x + k * rotating);
        Place place = place_of(pairs, pair);
        low[k] = read_four<FOURS>(x, x_rows, place.low, low_end, 0);
        high[k] = read_four<FOURS>(x, x_rows, place.high, rotated, 0);
        cosine[k] = read_four<FOURS>(cosines + table_row, table_rows, pair, pairs.count, 0);
        sine[k] = read_four<FOURS>(sines + table_row, table_rows, pair, pairs.count, 0) * sign;
    }
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        Place place = place_of(pairs, 4 * (position.x + k * rotating));
        rotate(low[k], high[k], cosine[k], sine[k], pairs.interleaved != 0);
        write_four<FOURS>(y, low[k], place.low, low_end);
        write_four<FOURS>(y, high[k], place.high, rotated);
    }
}

template [[host_name("rope")]] [[kernel]] decltype(rope<false>) rope<false>;
template [[host_name("rope_fours")]] [[kernel]] decltype(rope<true>) rope<true>;
