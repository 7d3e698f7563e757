// y = the rows `ids` of a matrix, (ids, K), in float32; NaN where there is no such row.
kernel void gather(
    MATRIX_PARAMETERS,
    device const uint* ids [[buffer(4)]],
    device float* y [[buffer(5)]],
    uint2 at [[thread_position_in_grid]])
{
    Matrix matrix = MATRIX;
    uint row = ids[at.y], column = at.x * RUN;
    uint count = min(RUN, layout.columns - column);
    float run[RUN];
    if (row < layout.rows) {
        unpack(matrix, row, column, count, run);
    }
    y += ulong(at.y) * layout.columns;
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        if (i < count) {
            y[TO_COLUMN(matrix, column, i, 1u)] = row < layout.rows ? run[i] : NAN;
        }
    }
}
