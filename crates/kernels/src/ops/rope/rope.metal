// T: dtype of x, C: dtype of the tables. A thread turns one pair: x(i) and x(i + D/2) of a row.

// `sign` is 1 for the rotation and -1 for its inverse, which is the gradient.
kernel void rope(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device const C* cosines [[buffer(2)]],
    constant Rows& cosine_rows [[buffer(3)]],
    device const C* sines [[buffer(4)]],
    constant Rows& sine_rows [[buffer(5)]],
    device T* y [[buffer(6)]],
    constant float& sign [[buffer(7)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    uint pair = position.x;
    uint half_width = grid.x;
    x += row_start(x_rows, position.y);
    y += ulong(position.y) * 2 * half_width;
    float cosine = float(cosines[row_start(cosine_rows, position.y) + pair * cosine_rows.stride]);
    float sine = sign * float(sines[row_start(sine_rows, position.y) + pair * sine_rows.stride]);
    float first = float(x[pair * x_rows.stride]);
    float second = float(x[(pair + half_width) * x_rows.stride]);
    y[pair] = T(first * cosine - second * sine);
    y[pair + half_width] = T(second * cosine + first * sine);
}
