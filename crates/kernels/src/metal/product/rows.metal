// Few rows by a matrix: the time is that of reading the matrix, once for all of them.

// Rows of the matrix that a SIMD group reads at a time, which share what is read of x.
constant constexpr uint OUTPUTS = 4;

// OUTPUTS columns of a product of ROWS rows at most.
template <uint ROWS>
struct Products {
    float of[ROWS][OUTPUTS];
};

// The columns from `first` on of (rows, K) by (N, K), in every lane of a SIMD group.
template <uint ROWS>
inline Products<ROWS> products_of(
    Matrix matrix,
    device const X* x,
    constant Strides& x_strides,
    constant Sum& sum,
    uint first,
    uint lane)
{
    Products<ROWS> sums;
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            sums.of[row][j] = 0;
        }
    }
    for (uint column = lane * RUN; column < sum.inner; column += SIMD * RUN) {
        uint count = min(RUN, sum.inner - column);
        float w[OUTPUTS][RUN];
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            // Behind the last row, the last once more: its sums are not stored.
            unpack(matrix, min(first + j, sum.columns - 1), column, count, w[j]);
        }
        UNROLL
        for (uint row = 0; row < ROWS; row++) {
            device const X* from = x + min(row, sum.rows - 1) * x_strides.row;
            UNROLL
            for (uint i = 0; i < RUN; i++) {
                float value = i < count ? float(from[TO_COLUMN(matrix, column, i, x_strides.column)]) : 0.0f;
                UNROLL
                for (uint j = 0; j < OUTPUTS; j++) {
                    sums.of[row][j] += value * w[j][i];
                }
            }
        }
    }
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            sums.of[row][j] = simd_sum(sums.of[row][j]);
        }
    }
    return sums;
}
