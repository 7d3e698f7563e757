// Few rows by up to three matrices of one storage at once: one launch, in which each reads x.

constant constexpr uint MOST = 3;

// An adapter's scale h U^T, which is added to a product: U is (N, rank), and nothing is added where the rank is 0.
struct Update {
    Strides strides;
    uint rank;
    float scale;
};

// The number of an update, in every lane of a SIMD group.
inline float updated(device const float* h, device const float* u, constant Update& update, uint row, uint column, uint lane) {
    float sum = 0;
    for (uint i = lane; i < update.rank; i += SIMD) {
        sum += h[row * update.rank + i] * u[column * update.strides.row + i * update.strides.column];
    }
    return update.rank > 0 ? update.scale * simd_sum(sum) : 0.0f;
}

// A matrix of several, what is added to its product, and the first of its threadgroups.
struct Several {
    Layout layouts[MOST];
    Strides c_strides[MOST];
    Sum sums[MOST];
    uint starts[MOST];
    Update updates[MOST];
};

// y_i = x W_i^T + c_i + scale_i h_i U_i^T for matrices A, B and C, as `few_rows`.
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
    device const float* h_a [[buffer(18)]],
    device const float* h_b [[buffer(19)]],
    device const float* h_c [[buffer(20)]],
    device const float* u_a [[buffer(21)]],
    device const float* u_b [[buffer(22)]],
    device const float* u_c [[buffer(23)]],
    uint at [[threadgroup_position_in_grid]],
    uint simd_index [[simdgroup_index_in_threadgroup]],
    uint simds [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    uint which = uint(at >= several.starts[1]) + uint(at >= several.starts[2]);
    Matrix matrix = Matrix{a_0, a_1, a_2, &several.layouts[0]};
    device const C* c = add_a;
    device Y* y = y_a;
    device const float* h = h_a;
    device const float* u = u_a;
    if (which == 1) {
        matrix = Matrix{b_0, b_1, b_2, &several.layouts[1]};
        c = add_b;
        y = y_b;
        h = h_b;
        u = u_b;
    } else if (which == 2) {
        matrix = Matrix{c_0, c_1, c_2, &several.layouts[2]};
        c = add_c;
        y = y_c;
        h = h_c;
        u = u_c;
    }
    constant Sum& sum = several.sums[which];
    uint first = ((at - several.starts[which]) * simds + simd_index) * OUTPUTS;
    Products<ROWS> sums = products_of<ROWS>(matrix, x, x_strides, sum, first, lane);
    UNROLL
    for (uint row = 0; row < ROWS; row++) {
        UNROLL
        for (uint j = 0; j < OUTPUTS; j++) {
            uint column = first + j;
            if (row < sum.rows && column < sum.columns) {
                float value = sums.of[row][j] + updated(h, u, several.updates[which], row, column, lane);
                if (lane == 0) {
                    store(y, c, several.c_strides[which], sum, row, column, value);
                }
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
    device const float* h_a [[buffer(12)]],
    device const float* h_b [[buffer(13)]],
    device const float* u_a [[buffer(14)]],
    device const float* u_b [[buffer(15)]],
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
            uint column = first + j;
            if (row < sum.rows && column < sum.columns) {
                float z = gate.of[row][j] + updated(h_a, u_a, several.updates[0], row, column, lane);
                float u = up.of[row][j] + updated(h_b, u_b, several.updates[1], row, column, lane);
                if (lane == 0) {
                    z = with_addend(add_a, several.c_strides[0], sum, row, column, z);
                    u = with_addend(add_b, several.c_strides[1], several.sums[1], row, column, u);
                    y[ulong(row) * sum.columns + column] = Y(z * sigmoid_of<W>(z) * u);
                }
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
