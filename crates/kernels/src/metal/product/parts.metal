// y = alpha times the sum of parts, (parts, rows, columns), in their order. Y: dtype of the result.
kernel void product_of_parts(
    device const float* parts [[buffer(0)]],
    constant uint& count [[buffer(1)]],
    constant float& alpha [[buffer(2)]],
    device Y* y [[buffer(3)]],
    uint2 at [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    ulong element = ulong(at.y) * grid.x + at.x;
    float sum = 0;
    for (uint part = 0; part < count; part++) {
        sum += parts[ulong(part) * grid.y * grid.x + element];
    }
    y[element] = Y(alpha * sum);
}
