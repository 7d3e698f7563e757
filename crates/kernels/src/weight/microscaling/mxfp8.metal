// e4m3 by 32 with scales of e8m0: words in PART_0, bytes in PART_1. A run reads 9 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    ulong run = (ulong(row) * m.layout->columns + column) / RUN;
    uint2 bytes = uint2(m.part_0[run * 2], m.part_0[run * 2 + 1]);
    float scale = e8m0(m.part_1[run / 4]);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = e4m3(byte_of(bytes, i)) * scale;
    }
}
