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
    uint first = (at * simds + simd_index) * OUTPUTS;
    Products<ROWS> sums = products_of<ROWS>(MATRIX, x, x_strides, sum, first, lane);
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            if (lane == 0 && row < sum.rows && first + j < sum.columns) {
                store(y, c, c_strides, sum, row, first + j, sums.of[row][j]);
            }
        }
    }
}

template [[host_name("product_of_1_row")]] [[kernel]] decltype(few_rows<1>) few_rows<1>;
template [[host_name("product_of_2_rows")]] [[kernel]] decltype(few_rows<2>) few_rows<2>;
template [[host_name("product_of_4_rows")]] [[kernel]] decltype(few_rows<4>) few_rows<4>;
template [[host_name("product_of_8_rows")]] [[kernel]] decltype(few_rows<8>) few_rows<8>;
