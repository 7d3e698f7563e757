// Rows that are read and written four elements at a time, and kept in registers. FOURS: of every row, four elements lie side
// by side where they may be read at once, and nothing is left over. There is no branch then between reads, so that a thread
// waits for all of them at once.

inline float sum_of(float4 values) {
    return (values.x + values.y) + (values.z + values.w);
}

inline float max_of(float4 values) {
    return max(max(values.x, values.y), max(values.z, values.w));
}

// Four elements of a row from `at` on, a multiple of 4, at least one of which is before `end`; zeros from there on.
template <bool FOURS, typename E>
inline vec<E, 4> four_at(device const E* row, constant Rows& rows, uint at, uint end) {
    vec<E, 4> four;
    if (FOURS) {
        four = *(device const vec<E, 4>*)(row + at);
    } else {
        UNROLL
        for (uint i = 0; i < 4; i++) {
            four[i] = at + i < end ? row[(at + i) * rows.stride] : E(0.0f);
        }
    }
    return four;
}

template <typename E>
inline float4 floats_of(vec<E, 4> four) {
    float4 values;
    UNROLL
    for (uint i = 0; i < 4; i++) {
        values[i] = float(four[i]);
    }
    return values;
}

// Four elements of a row from `at` on, a multiple of 4; those from `end` on are `rest`.
template <bool FOURS, typename E>
inline float4 read_four(device const E* row, constant Rows& rows, uint at, uint end, float rest) {
    float4 values;
    if (FOURS) {
        // Behind the end the last four is read once more.
        vec<E, 4> four = *(device const vec<E, 4>*)(row + min(at, end - 4));
        UNROLL
        for (uint i = 0; i < 4; i++) {
            values[i] = at < end ? float(four[i]) : rest;
        }
    } else {
        UNROLL
        for (uint i = 0; i < 4; i++) {
            values[i] = at + i < end ? float(row[(at + i) * rows.stride]) : rest;
        }
    }
    return values;
}

// Writes four elements of a result's row from `at` on, or those of them that are before `end`.
template <bool FOURS, typename E>
inline void write_four(device E* row, float4 values, uint at, uint end) {
    if (FOURS) {
        vec<E, 4> four;
        UNROLL
        for (uint i = 0; i < 4; i++) {
            four[i] = E(values[i]);
        }
        if (at < end) {
            *(device vec<E, 4>*)(row + at) = four;
        }
    } else {
        UNROLL
        for (uint i = 0; i < 4; i++) {
            if (at + i < end) {
                row[at + i] = E(values[i]);
            }
        }
    }
}

// Fours of a thread where no thread needs another's, so that it finds its rows once for all of them.
constant constexpr uint FOURS_A_THREAD = 2;

// What a thread keeps of a row: fours of elements, which the threads of a threadgroup take in turns.
constant constexpr uint KEPT = 4;

struct Part {
    float4 fours[KEPT];
};

// Elements that a threadgroup keeps.
inline uint kept_by(uint threads) {
    return 4 * KEPT * threads;
}

// The part of a row whose first four is at `first`; elements from `width` on are `rest`.
template <bool FOURS, typename E>
inline Part read_part(device const E* row, constant Rows& rows, uint first, uint threads, uint width, float rest) {
    Part part;
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        part.fours[k] = read_four<FOURS>(row, rows, first + 4 * k * threads, width, rest);
    }
    return part;
}

// The part of a contiguous result's row.
template <bool FOURS, typename E>
inline void write_part(device E* row, Part part, uint first, uint threads, uint width) {
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        write_four<FOURS>(row, part.fours[k], first + 4 * k * threads, width);
    }
}

inline Part plus(Part a, Part b) {
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        a.fours[k] = a.fours[k] + b.fours[k];
    }
    return a;
}

inline Part times(Part a, Part b) {
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        a.fours[k] = a.fours[k] * b.fours[k];
    }
    return a;
}

inline Part scaled(Part part, float factor) {
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        part.fours[k] = part.fours[k] * factor;
    }
    return part;
}

inline float dot(Part a, Part b) {
    float total = 0;
    UNROLL
    for (uint k = 0; k < KEPT; k++) {
        total += sum_of(a.fours[k] * b.fours[k]);
    }
    return total;
}
