// T: dtype of x, C: dtype of the tables. A thread (x) rotates four pairs of a row (y); those that come after these threads copy
// four elements each that are no part of a pair.

// Tensors of one launch at most.
constant constexpr uint MOST = 3;

// A tensor that is rotated, or copied where it has no pairs: its rows, those of the result, and those of the tables.
struct Turn {
    Rows from;
    Rows to;
    Rows tables;
    // Its first row among those of all tensors.
    uint first;
    uint pairs;
};

struct Turns {
    Turn of[MOST];
    uint width;
    // Not 0 where pair p is the elements 2p and 2p + 1; else it is p and p + pairs.
    uint interleaved;
    // 1 for the rotation and -1 for its inverse, which is the gradient.
    float sign;
};

// Where four pairs are in a row: their first four elements, and their last.
struct Place {
    uint low;
    uint high;
};

inline Place place_of(uint pair, uint pairs, bool interleaved) {
    if (interleaved) {
        return Place { 2 * pair, 2 * pair + 4 };
    }
    return Place { pair, pairs + pair };
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

template <bool FOURS>
kernel void rope(
    device const T* x_0 [[buffer(0)]],
    device const T* x_1 [[buffer(1)]],
    device const T* x_2 [[buffer(2)]],
    device const C* cosines [[buffer(3)]],
    device const C* sines [[buffer(4)]],
    device T* y_0 [[buffer(5)]],
    device T* y_1 [[buffer(6)]],
    device T* y_2 [[buffer(7)]],
    constant Turns& turns [[buffer(8)]],
    uint2 position [[thread_position_in_grid]])
{
    uint which = uint(position.y >= turns.of[1].first) + uint(position.y >= turns.of[2].first);
    constant Turn& turn = turns.of[which];
    device const T* x = x_0;
    device T* y = y_0;
    if (which == 1) {
        x = x_1;
        y = y_1;
    } else if (which == 2) {
        x = x_2;
        y = y_2;
    }
    uint row = position.y - turn.first;
    x += row_start(turn.from, row);
    y += row_start(turn.to, row);
    uint rotated = 2 * turn.pairs;
    uint rotating = (turn.pairs + 3) / 4;
    if (position.x >= rotating) {
        uint at = rotated + 4 * (position.x - rotating);
        if (at < turns.width) {
            write_four<FOURS>(y, read_four<FOURS>(x, turn.from, at, turns.width, 0), at, turns.width);
        }
        return;
    }
    ulong table_row = row_start(turn.tables, row);
    bool interleaved = turns.interleaved != 0;
    uint low_end = interleaved ? rotated : turn.pairs;
    uint pair = 4 * position.x;
    Place place = place_of(pair, turn.pairs, interleaved);
    float4 low = read_four<FOURS>(x, turn.from, place.low, low_end, 0);
    float4 high = read_four<FOURS>(x, turn.from, place.high, rotated, 0);
    float4 cosine = read_four<FOURS>(cosines + table_row, turn.tables, pair, turn.pairs, 0);
    float4 sine = read_four<FOURS>(sines + table_row, turn.tables, pair, turn.pairs, 0) * turns.sign;
    rotate(low, high, cosine, sine, interleaved);
    write_four<FOURS>(y, low, place.low, low_end);
    write_four<FOURS>(y, high, place.high, rotated);
}

template [[host_name("rope")]] [[kernel]] decltype(rope<false>) rope<false>;
template [[host_name("rope_fours")]] [[kernel]] decltype(rope<true>) rope<true>;
