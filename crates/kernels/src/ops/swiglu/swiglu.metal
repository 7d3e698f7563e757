// T: dtype of the tensors. A thread computes one element (x) of a row (y).

// y = gate sigmoid(gate) up.
kernel void swiglu_forward(
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
    y[ulong(position.y) * grid.x + position.x] = T(gate / (1 + exp(-gate)) * up);
}

// dgate = dy up s (1 + gate (1 - s)) and dup = dy gate s, with s = sigmoid(gate).
kernel void swiglu_backward(
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
    float s = 1 / (1 + exp(-gate));
    ulong element = ulong(position.y) * grid.x + position.x;
    dgate[element] = T(dy * up * s * (1 + gate * (1 - s)));
    dup[element] = T(dy * gate * s);
}
