// Numbers of four bits in blocks that go on from row to row, two in a byte of PART_0, the high half first. PART_1: the largest
// magnitude of each block, or its code of eight bits. PART_2: values of the numbers, and behind them those of the codes, what is
// added to each, and a factor for each block of blocks. Options: logarithms of the sizes of both kinds of blocks.
// float32 alone: PART_1, PART_2.

constant constexpr uint CODES = 16;
constant constexpr uint OFFSET = CODES + 256;
constant constexpr uint FACTORS = OFFSET + 1;

inline float largest_of(Matrix, device const float* largest, ulong block) {
    return largest[block];
}

inline float largest_of(Matrix m, device const uchar* codes, ulong block) {
    float factor = m.part_2[FACTORS + (block >> m.layout->options[1])];
    return m.part_2[CODES + codes[block]] * factor + m.part_2[OFFSET];
}

// A run that begins with a word reads 8 bytes beside the values, or 17 where magnitudes are codes. Others, of rows that are no
// multiple of it, read number by number.
inline void unpack(Matrix m, uint row, uint column, uint count, thread float* to) {
    ulong at = ulong(row) * m.layout->columns + column;
    uint shift = m.layout->options[0];
    if (at % RUN == 0 && count == RUN) {
        uint word = ((device const uint*)m.part_0)[at / RUN];
        float largest = largest_of(m, m.part_1, at >> shift);
        UNROLL
        for (uint i = 0; i < RUN; i++) {
            to[i] = m.part_2[word >> ((i ^ 1) * 4) & 15] * largest;
        }
        return;
    }
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        if (i < count) {
            uint code = m.part_0[(at + i) / 2] >> (((at + i) % 2) ^ 1) * 4 & 15;
            to[i] = m.part_2[code] * largest_of(m, m.part_1, (at + i) >> shift);
        } else {
            to[i] = 0;
        }
    }
}
