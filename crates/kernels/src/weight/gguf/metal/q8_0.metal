// 32 numbers in 34 bytes, `d q`: `d` in bytes 0 and 1, `q` in 2 to 33, signed. A run reads 10 bytes, by twos.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<32, 34>(m, row, column);
    float d = half_at(block);
    uint2 q = by_halves(block + 2 + column % 32);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = d * float(signed_byte_of(q, i));
    }
}
