// Bytes of e4m3 in PART_0, scales of blocks in PART_1. Options: rows and columns of a block, and blocks in a row of them. A run
// reads 12 bytes, or two scales more where it has the ends of blocks inside, and divides once; what a row divides does not
// change along it.
// float32 alone: PART_1.

inline void unpack(Matrix m, uint row, uint column, uint count, thread float* to) {
    uint rows = m.layout->options[0], columns = m.layout->options[1], n_blocks = m.layout->options[2];
    device const float* scale = m.part_1 + ulong(row / rows) * n_blocks + column / columns;
    uint2 bytes = any_bytes(m.part_0, ulong(row) * m.layout->columns + column, count);
    uint end = columns - column % columns;
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        if (i == end && i < count) {
            scale++;
            end += columns;
        }
        to[i] = e4m3(byte_of(bytes, i)) * *scale;
    }
}
