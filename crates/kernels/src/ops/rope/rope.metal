// T: dtype of x, C: dtype of the tables. A thread turns one pair of a row; those that come after the pairs
// copy an element each.

// Which elements of a row are pair `p`: `p * step`, and the one at this distance from it.
struct Pairs {
    uint count;
    uint step;
    uint distance;
};

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
    constant Pairs& pairs [[buffer(8)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    uint pair = position.x;
    x += row_start(x_rows, position.y);
    y += ulong(position.y) * (grid.x + pairs.count);
    if (pair >= pairs.count) {
        uint element = pair + pairs.count;
        y[element] = x[element * x_rows.stride];
        return;
    }
    uint left = pair * pairs.step;
    uint right = left + pairs.distance;
    float cosine = float(cosines[row_start(cosine_rows, position.y) + pair * cosine_rows.stride]);
    float sine = sign * float(sines[row_start(sine_rows, position.y) + pair * sine_rows.stride]);
    float first = float(x[left * x_rows.stride]);
    float second = float(x[right * x_rows.stride]);
    y[left] = T(first * cosine - second * sine);
    y[right] = T(second * cosine + first * sine);
}
