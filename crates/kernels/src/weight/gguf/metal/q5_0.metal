// 32 numbers in 22 bytes, `d (q - 16)`: `d` in bytes 0 and 1, the fifth bits of `q` in 2 to 5, the others in the halves of 6
// to 21. A run reads 11 bytes, by twos but for that of its fifth bits.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<32, 22>(m, row, column);
    float d = half_at(block);
    uint fifth = block[2 + column % 32 / 8];
    uint2 q = low_or_high(by_halves(block + 6 + column % 16), column);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = d * (float(byte_of(q, i) | (fifth >> i & 1) << 4) - 16.0f);
    }
}
