// 256 numbers in 84 bytes, `d s q - dmin m`: for 16 numbers each `s` and `m` in the halves of bytes 0 to 15, `q` in 16 to 79,
// numbers 32 apart in one byte, `d` and `dmin` behind. A run reads 13 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<256, 84>(m, row, column);
    uint i = column % 256, factors = block[i / 16];
    float scale = half_at(block + 80) * float(factors & 15), low = half_at(block + 82) * float(factors >> 4);
    uint2 q = by_words(block + 16 + i / 128 * 32 + i % 32);
    uint shift = i / 32 % 4 * 2;
    UNROLL
    for (uint j = 0; j < RUN; j++) {
        to[j] = scale * float(byte_of(q, j) >> shift & 3) - low;
    }
}
