// e2m1 by 32 with scales of e8m0: words in PART_0, bytes in PART_1. A run reads 5 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    ulong run = (ulong(row) * m.layout->columns + column) / RUN;
    unpack_e2m1(m.part_0[run], e8m0(m.part_1[run / 4]), to);
}
