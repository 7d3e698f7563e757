// Q, K, V: dtypes of q, k and v; dy has that of q, and y is float.
//
// A threadgroup owns TILE rows of a result, queries or, for the gradients of keys and values, keys,
// and WIDTH of its columns. The rows meet TILE tokens of the other kind at a time. Tiles are copied to
// threadgroup memory as float, TILE columns at a time, whatever their dtype and layout; what is not
// there is zero. Each SIMD group multiplies eight of the rows, in matrices of 8x8.

constant constexpr uint TILE = 32;
constant constexpr uint SIMDS = TILE / 8;

// Floats from one row of a tile to the next: four more than a row has, so that the rows of a matrix
// lie in different banks.
constant constexpr uint STEP = TILE + 4;

// Scores of a tile for every lane.
constant constexpr uint SEEN = TILE / 4;

struct Sizes {
    uint heads;
    // Query heads for every key-value head.
    uint group;
    uint queries;
    uint keys;
    uint width;
    uint causal;
    // Zero for none.
    uint window;
    uint has_spans;
    uint has_sinks;
    float scale;
    // Zero for none.
    float softcap;
};

// Of q, k, v and what has their shapes; of what queries see, (B, 1, Tq, 2); of sinks, (H).
struct Strides {
    ulong batch;
    ulong head;
    ulong token;
    ulong element;
};

// Maximum and sum of exp(score - maximum) of a row of a head before its first key: those of the head's sink.
inline float2 before_keys(
    device const float* sinks, constant Strides& strides, constant Sizes& sizes, uint head)
{
    return sizes.has_sinks != 0 ? float2(sinks[head * strides.element], 1.0f) : float2(-INFINITY, 0.0f);
}

// One head, (count, width).
template <typename T>
struct Tokens {
    device const T* data;
    ulong token;
    ulong element;
    uint count;
    uint width;
};

template <typename T>
inline Tokens<T> tokens_of(
    device const T* data, constant Strides& strides, uint batch, uint head, uint count, uint width)
{
    return {data + batch * strides.batch + head * strides.head, strides.token, strides.element, count, width};
}

// Which keys a query sees.
struct Mask {
    // Where there are spans: of every query the first key that it sees, and the one behind the last.
    device const uint* seen;
    ulong token;
    uint queries;
    uint keys;
    bool causal;
    uint window;
    bool has_spans;

    // The key at the position of a query, without spans.
    uint position(uint query) {
        return query + keys - queries;
    }

    uint2 range(uint query) {
        return uint2(seen[query * token], seen[query * token + 1]);
    }

    bool sees(uint query, uint key) {
        if (query >= queries || key >= keys) {
            return false;
        }
        if (has_spans) {
            uint2 own = range(query);
            return own.x <= key && key < own.y;
        }
        return (!causal || key <= position(query)) && (window == 0 || key + window > position(query));
    }

    // Keys outside of this range are hidden from `count` queries from `query` on, at most a tile of them.
    // The same in all threads.
    uint2 keys_of(uint query, uint count, uint lane) {
        if (has_spans) {
            uint2 own = range(min(query + min(lane, count - 1), queries - 1));
            return uint2(simd_min(own.x), simd_max(own.y));
        }
        uint start = position(query) + 1;
        return uint2(
            window != 0 && start > window ? start - window : 0,
            causal ? min(position(query + count), keys) : keys);
    }

    // Queries outside of this range see no key of the tile that begins with `key`.
    uint2 queries_of(uint key) {
        if (has_spans) {
            return uint2(0, queries);
        }
        uint end = min(key + TILE, keys) - 1 + window + queries;
        return uint2(
            causal && key + queries > keys ? key + queries - keys : 0,
            window == 0 ? queries : end > keys ? min(end - keys, queries) : 0);
    }

    // Whether no query of a tile sees a key of a tile, by their spans. The same in all threads.
    bool hides(uint query, uint key, uint lane) {
        if (!has_spans) {
            return false;
        }
        uint2 own = keys_of(query, TILE, lane);
        return own.y <= key || key + TILE <= own.x;
    }
};

inline Mask mask_of(
    device const uint* seen, constant Strides& strides, uint batch, constant Sizes& sizes)
{
    return {seen + batch * strides.batch, strides.token, sizes.queries, sizes.keys,
        sizes.causal != 0, sizes.window, sizes.has_spans != 0};
}

// A SIMD group's place and the memory of its threadgroup: three tiles, and of the scores its own eight
// rows.
struct Group {
    threadgroup float* rows;
    threadgroup float* tokens;
    threadgroup float* scores;
    uint simd_index;
    uint lane;

    // Of its tile, the row that a lane looks at.
    uint row() {
        return 8 * simd_index + lane / 4;
    }

    // The columns that a lane looks at: every fourth.
    uint column(uint i) {
        return lane % 4 + 4 * i;
    }

    threadgroup float& score(uint i) {
        return scores[lane / 4 * STEP + column(i)];
    }

    // Bounds the products of a tile where scores have a bound; returns what they have to be multiplied with.
    float bound(constant Sizes& sizes) {
        if (sizes.softcap == 0) {
            return sizes.scale;
        }
        UNROLL
        for (uint i = 0; i < SEEN; i++) {
            score(i) = softcap(sizes.scale * score(i), sizes.softcap);
        }
        return 1;
    }

    // Puts probabilities in the place of their scores; they become those times the derivative of a bound.
    void replace_scores(thread float* p, constant Sizes& sizes) {
        UNROLL
        for (uint i = 0; i < SEEN; i++) {
            float own = p[i];
            if (sizes.softcap != 0) {
                p[i] *= softcap_slope(score(i), sizes.softcap);
            }
            score(i) = own;
        }
    }

    // Eight rows that no other SIMD group reads, free between two products.
    threadgroup float* own_rows() {
        return rows + 8 * simd_index * STEP;
    }
};

inline Group group_of(
    threadgroup float* rows, threadgroup float* tokens, threadgroup float* scores, uint simd_index, uint lane)
{
    return {rows, tokens, scores + 8 * simd_index * STEP, simd_index, lane};
}

// What the four lanes of a row have together.
inline float row_max(float x) {
    x = max(x, simd_shuffle_xor(x, 1));
    return max(x, simd_shuffle_xor(x, 2));
}

inline float row_sum(float x) {
    x += simd_shuffle_xor(x, 1);
    return x + simd_shuffle_xor(x, 2);
}

// Copies TILE tokens, TILE columns of each; a lane has one column.
template <typename T>
inline void stage(threadgroup float* tile, Tokens<T> from, uint first, uint column, Group group)
{
    uint element = column + group.lane;
    device const T* data = from.data + element * from.element;
    for (uint row = group.simd_index; row < TILE; row += SIMDS) {
        uint token = first + row;
        bool is_there = token < from.count && element < from.width;
        tile[row * STEP + group.lane] = is_there ? float(data[token * from.token]) : 0.0f;
    }
}

// scores = a b^T over all columns, of the group's rows of `a` and a tile of `b`.
template <typename A, typename B>
inline void multiply(Tokens<A> a, uint a_first, Tokens<B> b, uint b_first, Group group)
{
    simdgroup_float8x8 sums[TILE / 8];
    UNROLL
    for (uint j = 0; j < TILE / 8; j++) {
        sums[j] = make_filled_simdgroup_matrix<float, 8>(0.0f);
    }
    for (uint column = 0; column < a.width; column += TILE) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        stage(group.rows, a, a_first, column, group);
        stage(group.tokens, b, b_first, column, group);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; k < TILE && column + k < a.width; k += 8) {
            simdgroup_float8x8 left, right;
            simdgroup_load(left, group.own_rows() + k, STEP);
            UNROLL
            for (uint j = 0; j < TILE / 8; j++) {
                simdgroup_load(right, group.tokens + 8 * j * STEP + k, STEP, ulong2(0, 0), true);
                simdgroup_multiply_accumulate(sums[j], left, right, sums[j]);
            }
        }
    }
    UNROLL
    for (uint j = 0; j < TILE / 8; j++) {
        simdgroup_store(sums[j], group.scores + 8 * j, STEP);
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
}

// The result's rows of a SIMD group, (8, WIDTH), in registers.
template <uint WIDTH>
struct Sums {
    simdgroup_float8x8 blocks[WIDTH / 8];

    void clear() {
        UNROLL
        for (uint i = 0; i < WIDTH / 8; i++) {
            blocks[i] = make_filled_simdgroup_matrix<float, 8>(0.0f);
        }
    }

    // Adds scores times a tile of tokens, whose columns begin with `column`.
    template <typename T>
    void add(Tokens<T> from, uint first, uint column, Group group) {
        UNROLL
        for (uint chunk = 0; chunk < WIDTH; chunk += TILE) {
            if (column + chunk < from.width) {
                threadgroup_barrier(mem_flags::mem_threadgroup);
                stage(group.tokens, from, first, column + chunk, group);
                threadgroup_barrier(mem_flags::mem_threadgroup);
                for (uint j = 0; j < TILE; j += 8) {
                    simdgroup_float8x8 left, right;
                    simdgroup_load(left, group.scores + j, STEP);
                    UNROLL
                    for (uint k = 0; k < TILE / 8; k++) {
                        simdgroup_load(right, group.tokens + j * STEP + 8 * k, STEP);
                        thread simdgroup_float8x8& block = blocks[chunk / 8 + k];
                        simdgroup_multiply_accumulate(block, left, right, block);
                    }
                }
            }
        }
    }

    // Multiplies every row with its factor.
    void scale(float factor, Group group) {
        threadgroup float* own = group.own_rows();
        UNROLL
        for (uint chunk = 0; chunk < WIDTH; chunk += TILE) {
            store(chunk, group);
            UNROLL
            for (uint i = 0; i < SEEN; i++) {
                own[group.lane / 4 * STEP + group.column(i)] *= factor;
            }
            simdgroup_barrier(mem_flags::mem_threadgroup);
            UNROLL
            for (uint k = 0; k < TILE / 8; k++) {
                simdgroup_load(blocks[chunk / 8 + k], own + 8 * k, STEP);
            }
            simdgroup_barrier(mem_flags::mem_threadgroup);
        }
    }

    // Writes the rows that are there, `first` the first of the tile, to a head of (count, width).
    template <typename T>
    void write(device T* head, uint first, uint count, uint column, uint width, Group group) {
        UNROLL
        for (uint chunk = 0; chunk < WIDTH; chunk += TILE) {
            store(chunk, group);
            uint element = column + chunk + group.lane;
            for (uint row = 0; row < 8; row++) {
                uint token = first + 8 * group.simd_index + row;
                if (token < count && element < width) {
                    head[ulong(token) * width + element] = T(group.own_rows()[row * STEP + group.lane]);
                }
            }
            simdgroup_barrier(mem_flags::mem_threadgroup);
        }
    }

    // TILE columns to the group's own rows.
    void store(uint chunk, Group group) {
        UNROLL
        for (uint k = 0; k < TILE / 8; k++) {
            simdgroup_store(blocks[chunk / 8 + k], group.own_rows() + 8 * k, STEP);
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
    }
};
