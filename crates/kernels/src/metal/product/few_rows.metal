// Few rows by a matrix: the time is that of reading the matrix, once for all of them.

// Rows of the matrix that a SIMD group reads at a time, which share what is read of x.
constant constexpr uint OUTPUTS = 4;

// y = alpha x W^T + what is added, for (rows, K) by (N, K). A SIMD group computes OUTPUTS columns of all rows, of which
// there are ROWS at most.
template <uint ROWS>
kernel void few_rows(
    MATRIX_PARAMETERS,
    device const X* x [[buffer(4)]],
    constant Strides& x_strides [[buffer(5)]],
    device const C* c [[buffer(6)]],
    constant Strides& c_strides [[buffer(7)]],
    constant Sum& sum [[buffer(8)]],
    device Y* y [[buffer(9)]],
    uint at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint simds [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    Matrix matrix = MATRIX;
    uint first = (at * simds + simd_index) * OUTPUTS;
    float sums[ROWS][OUTPUTS];
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            sums[row][j] = 0;
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
            device const X* from = x + min(row, sum.rows - 1) * x_strides.row + column * x_strides.column;
            UNROLL
            for (uint i = 0; i < RUN; i++) {
                float value = i < count ? float(from[i * x_strides.column]) : 0.0f;
                UNROLL
                for (uint j = 0; j < OUTPUTS; j++) {
                    sums[row][j] += value * w[j][i];
                }
            }
        }
    }
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            float total = simd_sum(sums[row][j]);
            if (lane == 0 && row < sum.rows && first + j < sum.columns) {
                store(y, c, c_strides, sum, row, first + j, total);
            }
        }
    }
}

template [[host_name("product_of_1_row")]] [[kernel]] decltype(few_rows<1>) few_rows<1>;
template [[host_name("product_of_2_rows")]] [[kernel]] decltype(few_rows<2>) few_rows<2>;
template [[host_name("product_of_4_rows")]] [[kernel]] decltype(few_rows<4>) few_rows<4>;
template [[host_name("product_of_8_rows")]] [[kernel]] decltype(few_rows<8>) few_rows<8>;
