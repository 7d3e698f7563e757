// B: dtype of the right factor. Products of matrices in any layout, float32 inside.

// Rows and columns of a threadgroup's tile of the result; steps of the sum in threadgroup memory.
constant constexpr uint TILE = 64;
constant constexpr uint CHUNK = 32;
constant constexpr uint THREADS = 128;

// Of the tile for each SIMD group, which are two by two: eight rows and columns to a matrix.
constant constexpr uint OWN = TILE / 2;
constant constexpr uint BLOCKS = OWN / 8;

// Floats from one row of a tile to the next: four more than a row has, so that the rows of a matrix
// lie in different banks.
constant constexpr uint STEP = CHUNK + 4;

struct Strides {
    ulong unused[2];
    ulong row;
    ulong column;
};

struct ProductSizes {
    uint rows;
    uint columns;
    // Length of the sums, and of the range of it that a threadgroup adds up: whole chunks.
    uint inner;
    uint range;
    // Whether the sums are added to what is there.
    uint add;
};

// Copies a tile of (rows, columns); what is not there is zero.
template <typename T>
inline void stage(
    threadgroup float* tile,
    device const T* from,
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
        ulong at = (first.x + row) * strides.row + (first.y + column) * strides.column;
        tile[row * STEP + column] = is_there ? float(from[at]) : 0.0f;
    }
}

// c = a b^T, or c += a b^T: (rows, inner) by (columns, inner). Tiles of columns are in x, of rows in y; the
// ranges of the sum are in z, each with a result of its own.
kernel void loss_product(
    device const float* a [[buffer(0)]],
    constant Strides& a_strides [[buffer(1)]],
    device const B* b [[buffer(2)]],
    constant Strides& b_strides [[buffer(3)]],
    constant ProductSizes& product [[buffer(4)]],
    device float* c [[buffer(5)]],
    uint3 at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float a_tile[TILE * STEP];
    threadgroup float b_tile[TILE * STEP];
    uint thread_index = simd_index * SIMD + lane;
    uint own_row = simd_index / 2 * OWN, own_column = simd_index % 2 * OWN;
    uint row = at.y * TILE, column = at.x * TILE;
    bool has_work = row + own_row < product.rows && column + own_column < product.columns;

    simdgroup_float8x8 sums[BLOCKS][BLOCKS];
    UNROLL
    for (uint i = 0; i < BLOCKS; i++) {
        UNROLL
        for (uint j = 0; j < BLOCKS; j++) {
            sums[i][j] = make_filled_simdgroup_matrix<float, 8>(0.0f);
        }
    }
    uint end = min((at.z + 1) * product.range, product.inner);
    for (uint step = at.z * product.range; step < end; step += CHUNK) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        stage(a_tile, a, a_strides, uint2(row, step), uint2(product.rows, product.inner), thread_index);
        stage(b_tile, b, b_strides, uint2(column, step), uint2(product.columns, product.inner), thread_index);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; has_work && k < CHUNK && step + k < end; k += 8) {
            simdgroup_float8x8 left[BLOCKS], right[BLOCKS];
            UNROLL
            for (uint i = 0; i < BLOCKS; i++) {
                simdgroup_load(left[i], a_tile + (own_row + 8 * i) * STEP + k, STEP);
                simdgroup_load(right[i], b_tile + (own_column + 8 * i) * STEP + k, STEP, ulong2(0, 0), true);
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
    threadgroup float* own = a_tile + 8 * simd_index * STEP;
    c += ulong(at.z) * product.rows * product.columns;
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
            if (to < product.rows && column < product.columns) {
                device float& element = c[ulong(to) * product.columns + column];
                element = (product.add != 0 ? element : 0.0f) + own[r * STEP + lane];
            }
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
    }
}
