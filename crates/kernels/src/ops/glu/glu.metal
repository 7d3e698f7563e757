// T: dtype of the tensors. A thread computes one element (x) of a row (y).

// Exponents w of activations z sigmoid(w(z)), and their derivatives.
struct Silu {
    static float of(float z) {
        return z;
    }

    static float slope(float z) {
        return 1;
    }
};

// w = 2 sqrt(2 / pi) (z + 0.044715 z^3), since (1 + tanh(u)) / 2 is the sigmoid of 2u.
struct GeluTanh {
    static float of(float z) {
        return z * (1.5957691f + 0.071354816f * z * z);
    }

    static float slope(float z) {
        return 1.5957691f + 3 * 0.071354816f * z * z;
    }
};

// y = gate sigmoid(w(gate)) up.
template <typename W>
kernel void glu_forward(
    device const T* gates [[buffer(0)]],
    constant Rows& gate_rows [[buffer(1)]],
    device const T* ups [[buffer(2)]],
    constant Rows& up_rows [[buffer(3)]],
    device T* y [[buffer(4)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    float gate = float(gates[row_start(gate_rows, position.y) + position.x * gate_rows.stride]);
    float up = float(ups[row_start(up_rows, position.y) + position.x * up_rows.stride]);
    y[ulong(position.y) * grid.x + position.x] = T(gate / (1 + exp(-W::of(gate))) * up);
}

template [[host_name("swiglu_forward")]] [[kernel]] decltype(glu_forward<Silu>) glu_forward<Silu>;
template [[host_name("geglu_forward")]] [[kernel]] decltype(glu_forward<GeluTanh>) glu_forward<GeluTanh>;

// dgate = dy up s (1 + gate w'(gate) (1 - s)) and dup = dy gate s, with s = sigmoid(w(gate)).
template <typename W>
kernel void glu_backward(
    device const T* gates [[buffer(0)]],
    constant Rows& gate_rows [[buffer(1)]],
    device const T* ups [[buffer(2)]],
    constant Rows& up_rows [[buffer(3)]],
    device const T* dys [[buffer(4)]],
    constant Rows& dy_rows [[buffer(5)]],
    device T* dgate [[buffer(6)]],
    device T* dup [[buffer(7)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    float gate = float(gates[row_start(gate_rows, position.y) + position.x * gate_rows.stride]);
    float up = float(ups[row_start(up_rows, position.y) + position.x * up_rows.stride]);
    float dy = float(dys[row_start(dy_rows, position.y) + position.x * dy_rows.stride]);
    float s = 1 / (1 + exp(-W::of(gate)));
    ulong element = ulong(position.y) * grid.x + position.x;
    dgate[element] = T(dy * up * s * (1 + gate * (W::slope(gate) * (1 - s))));
    dup[element] = T(dy * gate * s);
}

template [[host_name("swiglu_backward")]] [[kernel]] decltype(glu_backward<Silu>) glu_backward<Silu>;
template [[host_name("geglu_backward")]] [[kernel]] decltype(glu_backward<GeluTanh>) glu_backward<GeluTanh>;
