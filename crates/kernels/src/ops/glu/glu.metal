// T: dtype of the tensors. A thread (x) computes fours of elements of a row (y), which lie a grid apart.

// y = gate sigmoid(w(gate)) up.
template <typename W, bool FOURS>
kernel void glu_forward(
    device const T* gates [[buffer(0)]],
    constant Rows& gate_rows [[buffer(1)]],
    device const T* ups [[buffer(2)]],
    constant Rows& up_rows [[buffer(3)]],
    device T* y [[buffer(4)]],
    constant uint& width [[buffer(5)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    gates += row_start(gate_rows, position.y);
    ups += row_start(up_rows, position.y);
    y += ulong(position.y) * width;
    float4 gate[FOURS_A_THREAD];
    float4 up[FOURS_A_THREAD];
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        uint at = 4 * (position.x + k * grid.x);
        gate[k] = read_four<FOURS>(gates, gate_rows, at, width, 0);
        up[k] = read_four<FOURS>(ups, up_rows, at, width, 0);
    }
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        UNROLL
        for (uint i = 0; i < 4; i++) {
            float z = gate[k][i];
            up[k][i] *= z * sigmoid_of<W>(z);
        }
        write_four<FOURS>(y, up[k], 4 * (position.x + k * grid.x), width);
    }
}

template [[host_name("swiglu_forward")]] [[kernel]] decltype(glu_forward<Silu, false>) glu_forward<Silu, false>;
template [[host_name("swiglu_forward_fours")]] [[kernel]] decltype(glu_forward<Silu, true>) glu_forward<Silu, true>;
template [[host_name("geglu_forward")]] [[kernel]] decltype(glu_forward<GeluTanh, false>) glu_forward<GeluTanh, false>;
template [[host_name("geglu_forward_fours")]] [[kernel]] decltype(glu_forward<GeluTanh, true>) glu_forward<GeluTanh, true>;

// dgate = dy up s (1 + gate w'(gate) (1 - s)) and dup = dy gate s, with s = sigmoid(w(gate)).
template <typename W, bool FOURS>
kernel void glu_backward(
    device const T* gates [[buffer(0)]],
    constant Rows& gate_rows [[buffer(1)]],
    device const T* ups [[buffer(2)]],
    constant Rows& up_rows [[buffer(3)]],
    device const T* dys [[buffer(4)]],
    constant Rows& dy_rows [[buffer(5)]],
    device T* dgates [[buffer(6)]],
    device T* dups [[buffer(7)]],
    constant uint& width [[buffer(8)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    gates += row_start(gate_rows, position.y);
    ups += row_start(up_rows, position.y);
    dys += row_start(dy_rows, position.y);
    ulong start = ulong(position.y) * width;
    float4 gate[FOURS_A_THREAD];
    float4 up[FOURS_A_THREAD];
    float4 dy[FOURS_A_THREAD];
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        uint at = 4 * (position.x + k * grid.x);
        gate[k] = read_four<FOURS>(gates, gate_rows, at, width, 0);
        up[k] = read_four<FOURS>(ups, up_rows, at, width, 0);
        dy[k] = read_four<FOURS>(dys, dy_rows, at, width, 0);
    }
    UNROLL
    for (uint k = 0; k < FOURS_A_THREAD; k++) {
        float4 dgate;
        float4 dup;
        UNROLL
        for (uint i = 0; i < 4; i++) {
            float z = gate[k][i];
            float s = sigmoid_of<W>(z);
            dgate[i] = dy[k][i] * up[k][i] * s * (1 + z * (W::slope(z) * (1 - s)));
            dup[i] = dy[k][i] * z * s;
        }
        uint at = 4 * (position.x + k * grid.x);
        write_four<FOURS>(dgates + start, dgate, at, width);
        write_four<FOURS>(dups + start, dup, at, width);
    }
}

template [[host_name("swiglu_backward")]] [[kernel]] decltype(glu_backward<Silu, false>) glu_backward<Silu, false>;
template [[host_name("swiglu_backward_fours")]] [[kernel]] decltype(glu_backward<Silu, true>) glu_backward<Silu, true>;
template [[host_name("geglu_backward")]] [[kernel]] decltype(glu_backward<GeluTanh, false>) glu_backward<GeluTanh, false>;
template [[host_name("geglu_backward_fours")]] [[kernel]] decltype(glu_backward<GeluTanh, true>) glu_backward<GeluTanh, true>;
