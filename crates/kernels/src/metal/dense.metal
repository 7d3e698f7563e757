// A matrix of floats, in any layout. Option: whether every run begins where four elements may be read at once.

inline void unpack(Matrix m, uint row, uint column, uint count, thread float* to) {
    device const PART_0* from = m.part_0 + row * m.layout->row + column * m.layout->column;
    if (m.layout->options[0] != 0 && count == RUN) {
        UNROLL
        for (uint i = 0; i < RUN; i += 4) {
            vec<PART_0, 4> four = *(device const vec<PART_0, 4>*)(from + i);
            UNROLL
            for (uint j = 0; j < 4; j++) {
                to[i + j] = float(four[j]);
            }
        }
        return;
    }
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = i < count ? float(from[i * m.layout->column]) : 0.0f;
    }
}
