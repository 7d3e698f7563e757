// T: dtype of the tensors. A thread (x) computes fours of elements of a row (y), which lie a grid apart.

struct Add {
    static float of(float a, float b) {
        return a + b;
    }
};

struct Mul {
    static float of(float a, float b) {
        return a * b;
    }
};

// y = a + b, or a b, for operands that were broadcast to one shape.
template <typename Op, bool FOURS>
kernel void binary(
    device const T* left [[buffer(0)]],
    constant Rows& left_rows [[buffer(1)]],
    device const T* right [[buffer(2)]],
    constant Rows& right_rows [[buffer(3)]],
    device T* y [[buffer(4)]],
    constant uint& width [[buffer(5)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    left += row_start(left_rows, position.y);
    right += row_start(right_rows, position.y);
    y += ulong(position.y) * width;
    float4 a[FOURS_A_THREAD];
    float4 b[FOURS_A_THREAD];
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        uint at = 4 * (position.x + k * grid.x);
        a[k] = read_four<FOURS>(left, left_rows, at, width, 0);
        b[k] = read_four<FOURS>(right, right_rows, at, width, 0);
    }
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        UNROLL
        for (uint i = 0; i < 4; i++) {
            a[k][i] = Op::of(a[k][i], b[k][i]);
        }
        write_four<FOURS>(y, a[k], 4 * (position.x + k * grid.x), width);
    }
}

template [[host_name("elementwise_sum")]] [[kernel]] decltype(binary<Add, false>) binary<Add, false>;
template [[host_name("elementwise_sum_fours")]] [[kernel]] decltype(binary<Add, true>) binary<Add, true>;
template [[host_name("elementwise_product")]] [[kernel]] decltype(binary<Mul, false>) binary<Mul, false>;
template [[host_name("elementwise_product_fours")]] [[kernel]] decltype(binary<Mul, true>) binary<Mul, true>;

// y = x, in order.
template <bool FOURS>
kernel void copied(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device T* y [[buffer(2)]],
    constant uint& width [[buffer(3)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    x += row_start(x_rows, position.y);
    y += ulong(position.y) * width;
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        uint at = 4 * (position.x + k * grid.x);
        write_four<FOURS>(y, read_four<FOURS>(x, x_rows, at, width, 0), at, width);
    }
}

template [[host_name("elementwise_copy")]] [[kernel]] decltype(copied<false>) copied<false>;
template [[host_name("elementwise_copy_fours")]] [[kernel]] decltype(copied<true>) copied<true>;
