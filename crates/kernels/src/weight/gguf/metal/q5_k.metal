// 256 numbers in 176 bytes, `d s q - dmin m` as in Q4_K: the fifth bits of `q` in bytes 16 to 47, a bit of each byte for 32
// numbers, the others in 48 to 175. A run reads 22 or 23 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<256, 176>(m, row, column);
    uint i = column % 256;
    float2 factors = scale_and_minimum(block, i / 32);
    uint2 fifth = by_words(block + 16 + i % 32), q = by_words(block + 48 + i / 64 * 32 + i % 32);
    uint shift = i / 32 % 2 * 4, bit = i / 32;
    UNROLL
    for (uint j = 0; j < RUN; j++) {
        uint value = (byte_of(q, j) >> shift & 15) | (byte_of(fifth, j) >> bit & 1) << 4;
        to[j] = factors.x * float(value) - factors.y;
    }
}
