// Few rows by up to three matrices of one storage at once: one launch, in which each reads x.

constant constexpr uint MOST = 3;

// A matrix of several, what is added to its product, and the first of its threadgroups.
struct Several {
    Layout layouts[MOST];
    Strides c_strides[MOST];
    Sum sums[MOST];
    uint starts[MOST];
};

// y_i = x W_i^T + c_i for matrices A, B and C, as `few_rows`.
template <uint ROWS>
kernel void few_rows_of_several(
    device const PART_0* a_0 [[buffer(0)]],
    device const PART_1* a_1 [[buffer(1)]],
    device const PART_2* a_2 [[buffer(2)]],
    device const PART_0* b_0 [[buffer(3)]],
    device const PART_1* b_1 [[buffer(4)]],
    device const PART_2* b_2 [[buffer(5)]],
    device const PART_0* c_0 [[buffer(6)]],
    device const PART_1* c_1 [[buffer(7)]],
    device const PART_2* c_2 [[buffer(8)]],
    device const C* add_a [[buffer(9)]],
    device const C* add_b [[buffer(10)]],
    device const C* add_c [[buffer(11)]],
    constant Several& several [[buffer(12)]],
    device const X* x [[buffer(13)]],
    constant Strides& x_strides [[buffer(14)]],
    device Y* y_a [[buffer(15)]],
    device Y* y_b [[buffer(16)]],
    device Y* y_c [[buffer(17)]],
    uint at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint simds [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint which = uint(at >= several.starts[1]) + uint(at >= several.starts[2]);
    Matrix matrix = Matrix{a_0, a_1, a_2, &several.layouts[0]};
    device const C* c = add_a;
    device Y* y = y_a;
    if (which == 1) {
        matrix = Matrix{b_0, b_1, b_2, &several.layouts[1]};
        c = add_b;
        y = y_b;
    } else if (which == 2) {
        matrix = Matrix{c_0, c_1, c_2, &several.layouts[2]};
        c = add_c;
        y = y_c;
    }
    constant Sum& sum = several.sums[which];
    uint first = ((at - several.starts[which]) * simds + simd_index) * OUTPUTS;
    Products<ROWS> sums = products_of<ROWS>(matrix, x, x_strides, sum, first, lane);
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            if (lane == 0 && row < sum.rows && first + j < sum.columns) {
                store(y, c, several.c_strides[which], sum, row, first + j, sums.of[row][j]);
            }
        }
    }
}

template [[host_name("products_of_1_row")]] [[kernel]] decltype(few_rows_of_several<1>) few_rows_of_several<1>;
template [[host_name("products_of_2_rows")]] [[kernel]] decltype(few_rows_of_several<2>) few_rows_of_several<2>;
template [[host_name("products_of_4_rows")]] [[kernel]] decltype(few_rows_of_several<4>) few_rows_of_several<4>;
template [[host_name("products_of_8_rows")]] [[kernel]] decltype(few_rows_of_several<8>) few_rows_of_several<8>;

// y = gate sigmoid(w(gate)) up, where gate = x A^T + c_a and up = x B^T + c_b have one size.
template <uint ROWS, typename W>
kernel void few_gated_rows(
    device const PART_0* a_0 [[buffer(0)]],
    device const PART_1* a_1 [[buffer(1)]],
    device const PART_2* a_2 [[buffer(2)]],
    device const PART_0* b_0 [[buffer(3)]],
    device const PART_1* b_1 [[buffer(4)]],
    device const PART_2* b_2 [[buffer(5)]],
    device const C* add_a [[buffer(6)]],
    device const C* add_b [[buffer(7)]],
    constant Several& several [[buffer(8)]],
    device const X* x [[buffer(9)]],
    constant Strides& x_strides [[buffer(10)]],
    device Y* y [[buffer(11)]],
    uint at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint simds [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    Matrix gates = Matrix{a_0, a_1, a_2, &several.layouts[0]};
    Matrix ups = Matrix{b_0, b_1, b_2, &several.layouts[1]};
    constant Sum& sum = several.sums[0];
    uint first = (at * simds + simd_index) * OUTPUTS;
    Products<ROWS> gate = products_of<ROWS>(gates, x, x_strides, sum, first, lane);
    Products<ROWS> up = products_of<ROWS>(ups, x, x_strides, several.sums[1], first, lane);
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            if (lane == 0 && row < sum.rows && first + j < sum.columns) {
                uint column = first + j;
                float z = with_addend(add_a, several.c_strides[0], sum, row, column, gate.of[row][j]);
                float u = with_addend(add_b, several.c_strides[1], several.sums[1], row, column, up.of[row][j]);
                y[ulong(row) * sum.columns + column] = Y(z * sigmoid_of<W>(z) * u);
            }
        }
    }
}

template [[host_name("swiglu_of_1_row")]] [[kernel]] decltype(few_gated_rows<1, Silu>) few_gated_rows<1, Silu>;
template [[host_name("swiglu_of_2_rows")]] [[kernel]] decltype(few_gated_rows<2, Silu>) few_gated_rows<2, Silu>;
template [[host_name("swiglu_of_4_rows")]] [[kernel]] decltype(few_gated_rows<4, Silu>) few_gated_rows<4, Silu>;
template [[host_name("swiglu_of_8_rows")]] [[kernel]] decltype(few_gated_rows<8, Silu>) few_gated_rows<8, Silu>;
template [[host_name("geglu_of_1_row")]] [[kernel]] decltype(few_gated_rows<1, GeluTanh>) few_gated_rows<1, GeluTanh>;
template [[host_name("geglu_of_2_rows")]] [[kernel]] decltype(few_gated_rows<2, GeluTanh>) few_gated_rows<2, GeluTanh>;
template [[host_name("geglu_of_4_rows")]] [[kernel]] decltype(few_gated_rows<4, GeluTanh>) few_gated_rows<4, GeluTanh>;
template [[host_name("geglu_of_8_rows")]] [[kernel]] decltype(few_gated_rows<8, GeluTanh>) few_gated_rows<8, GeluTanh>;
