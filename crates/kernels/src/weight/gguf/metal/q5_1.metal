// 32 numbers in 24 bytes, `d q + m`: `d` and `m` in bytes 0 to 3, the fifth bits of `q` in 4 to 7, the others in the halves of
// 8 to 23. A run reads 13 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<32, 24>(m, row, column);
    float d = half_at(block), low = half_at(block + 2);
    uint fifth = block[4 + column % 32 / 8];
    uint2 q = low_or_high(by_words(block + 8 + column % 16), column);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = d * float(byte_of(q, i) | (fifth >> i & 1) << 4) + low;
    }
}
