// 256 numbers in 110 bytes, `d (s - 32) (q - 4)`: the third bits of `q` in bytes 0 to 31, a bit of each byte for 32 numbers,
// the others in 32 to 95 as in Q2_K, `s` of six bits for 16 numbers each in 96 to 107, `d` behind. A run reads 20 bytes, by
// twos but for the two of `s`.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<256, 110>(m, row, column);
    uint i = column % 256, group = i / 16;
    uint s = block[96 + group % 8] >> (group / 8 * 4) & 15;
    s |= (block[104 + group % 4] >> (group / 4 * 2) & 3) << 4;
    float scale = half_at(block + 108) * (float(s) - 32.0f);
    uint2 third = by_halves(block + i % 32), q = by_halves(block + 32 + i / 128 * 32 + i % 32);
    uint shift = i / 32 % 4 * 2, bit = i / 32;
    UNROLL
    for (uint j = 0; j < RUN; j++) {
        uint value = (byte_of(q, j) >> shift & 3) | (byte_of(third, j) >> bit & 1) << 2;
        to[j] = scale * (float(value) - 4.0f);
    }
}
