// e2m1 by 16 with scales of e4m3: words in PART_0, bytes in PART_1. A run reads 5 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    ulong run = (ulong(row) * m.layout->columns + column) / RUN;
    unpack_e2m1(m.part_0[run], e4m3(m.part_1[run / 2]), to);
}
