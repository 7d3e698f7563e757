// 256 numbers in 144 bytes, `d s q - dmin m`: `d` and `dmin` in bytes 0 to 3, `s` and `m` for 32 numbers each in 4 to 15, `q` in
// the halves of 16 to 143, the first 32 of 64 numbers in the low ones. A run reads 14 or 15 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<256, 144>(m, row, column);
    uint i = column % 256;
    float2 factors = scale_and_minimum(block, i / 32);
    uint2 q = by_words(block + 16 + i / 64 * 32 + i % 32);
    uint shift = i / 32 % 2 * 4;
    UNROLL
    for (uint j = 0; j < RUN; j++) {
        to[j] = factors.x * float(byte_of(q, j) >> shift & 15) - factors.y;
    }
}
