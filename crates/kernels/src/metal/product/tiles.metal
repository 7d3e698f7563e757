// Many rows by a matrix, a tile of the result for each threadgroup. The matrix is unpacked a tile at a time.

// Rows and columns of a threadgroup's tile of the result; steps of the sum in threadgroup memory.
constant constexpr uint TILE = 64;
constant constexpr uint CHUNK = 32;
constant constexpr uint THREADS = 128;

// Of the tile for each SIMD group, which are two by two: eight rows and columns to a matrix.
constant constexpr uint OWN = TILE / 2;
constant constexpr uint BLOCKS = OWN / 8;

// Floats from one row of a tile to the next, and of one that has TILE columns: four more than a row has, so that the rows
// of a matrix lie in different banks.
constant constexpr uint STEP = CHUNK + 4;
constant constexpr uint WIDE_STEP = TILE + 4;

// Copies a tile of x, (TILE, CHUNK); what is not there is zero. OF_COLUMNS: its columns are those of the matrix, in the order
// in which the matrix has them.
template <bool OF_COLUMNS>
inline void stage(
    threadgroup float* tile,
    Matrix m,
    device const X* from,
    constant Strides& strides,
    uint2 first,
    uint2 size,
    uint thread_index)
{
    // Neighbouring threads read neighbours in memory.
    bool by_rows = strides.row < strides.column;
    for (uint i = thread_index; i < TILE * CHUNK; i += THREADS) {
        uint row = by_rows ? i % TILE : i / CHUNK;
        uint column = by_rows ? i / TILE : i % CHUNK;
        bool is_there = first.x + row < size.x && first.y + column < size.y;
        ulong to_column = (first.y + column) * strides.column;
        if (OF_COLUMNS && is_there) {
            to_column = TO_COLUMN(m, first.y + column, 0, strides.column);
        }
        ulong at = (first.x + row) * strides.row + to_column;
        tile[row * STEP + column] = is_there ? float(from[at]) : 0.0f;
    }
}

// Unpacks a tile of the matrix, (ROWS, COLUMNS); what is not there is zero.
template <uint ROWS, uint COLUMNS>
inline void unpack_tile(threadgroup float* tile, Matrix m, uint2 first, uint thread_index) {
    constexpr uint RUNS = COLUMNS / RUN;
    for (uint i = thread_index; i < ROWS * RUNS; i += THREADS) {
        uint row = i / RUNS, column = i % RUNS * RUN;
        float run[RUN];
        if (first.x + row < m.layout->rows && first.y + column < m.layout->columns) {
            unpack(m, first.x + row, first.y + column, min(RUN, m.layout->columns - first.y - column), run);
        } else {
            UNROLL
            for (uint j = 0; j < RUN; j++) {
                run[j] = 0;
            }
        }
        UNROLL
        for (uint j = 0; j < RUN; j++) {
            tile[row * (COLUMNS + 4) + column + j] = run[j];
        }
    }
}

// y = alpha x op(W) + what is added. TRANSPOSED: (rows, K) by (N, K), or else (rows, N) by (N, K). Tiles of columns are
// in x, of rows in y; the ranges of the sum are in z, each with a result of its own.
template <bool TRANSPOSED>
kernel void tiles(
    MATRIX_PARAMETERS,
    device const X* x [[buffer(4)]],
    constant Strides& x_strides [[buffer(5)]],
    device const C* c [[buffer(6)]],
    constant Strides& c_strides [[buffer(7)]],
    constant Sum& sum [[buffer(8)]],
    device Y* y [[buffer(9)]],
    uint3 at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float x_tile[TILE * STEP];
    threadgroup float w_tile[TILE * STEP];
    Matrix matrix = MATRIX;
    uint thread_index = simd_index * SIMD + lane;
    uint own_row = simd_index / 2 * OWN, own_column = simd_index % 2 * OWN;
    uint row = at.y * TILE, column = at.x * TILE;
    bool has_work = row + own_row < sum.rows && column + own_column < sum.columns;

    simdgroup_float8x8 sums[BLOCKS][BLOCKS];
    UNROLL
    for (uint i = 0; i < BLOCKS; i++) {
        UNROLL
        for (uint j = 0; j < BLOCKS; j++) {
            sums[i][j] = make_filled_simdgroup_matrix<float, 8>(0.0f);
        }
    }
    uint end = min((at.z + 1) * sum.range, sum.inner);
    for (uint step = at.z * sum.range; step < end; step += CHUNK) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        uint2 size = uint2(sum.rows, sum.inner);
        stage<TRANSPOSED>(x_tile, matrix, x, x_strides, uint2(row, step), size, thread_index);
        if (TRANSPOSED) {
            unpack_tile<TILE, CHUNK>(w_tile, matrix, uint2(column, step), thread_index);
        } else {
            unpack_tile<CHUNK, TILE>(w_tile, matrix, uint2(step, column), thread_index);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; has_work && k < CHUNK && step + k < end; k += 8) {
            simdgroup_float8x8 left[BLOCKS], right[BLOCKS];
            UNROLL
            for (uint i = 0; i < BLOCKS; i++) {
                simdgroup_load(left[i], x_tile + (own_row + 8 * i) * STEP + k, STEP);
                uint own = own_column + 8 * i;
                if (TRANSPOSED) {
                    simdgroup_load(right[i], w_tile + own * STEP + k, STEP, ulong2(0, 0), true);
                } else {
                    simdgroup_load(right[i], w_tile + k * WIDE_STEP + own, WIDE_STEP);
                }
            }
            UNROLL
            for (uint i = 0; i < BLOCKS; i++) {
                UNROLL
                for (uint j = 0; j < BLOCKS; j++) {
                    simdgroup_multiply_accumulate(sums[i][j], left[i], right[j], sums[i][j]);
                }
            }
        }
    }
    // Eight rows of a tile for each SIMD group, through which its sums go to memory.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    threadgroup float* own = x_tile + 8 * simd_index * STEP;
    y += ulong(at.z) * sum.rows * sum.columns;
    column += own_column + lane;
    UNROLL
    for (uint i = 0; i < BLOCKS; i++) {
        UNROLL
        for (uint j = 0; j < BLOCKS; j++) {
            simdgroup_store(sums[i][j], own + 8 * j, STEP);
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint r = 0; r < 8; r++) {
            uint to = row + own_row + 8 * i + r;
            if (to < sum.rows && column < sum.columns) {
                uint to_column = TRANSPOSED ? column : TO_COLUMN(matrix, column, 0, 1u);
                store(y, c, c_strides, sum, to, to_column, own[r * STEP + lane]);
            }
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
    }
}

template [[host_name("product_of_tiles")]] [[kernel]] decltype(tiles<false>) tiles<false>;
template [[host_name("product_of_tiles_transposed")]] [[kernel]] decltype(tiles<true>) tiles<true>;
