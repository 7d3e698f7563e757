// 256 numbers in 210 bytes, `d s (q - 32)`: of each 128 numbers, four bits of `q` in the halves of 64 bytes from 0 on, and two
// in 32 bytes from 128 on, `s` for 16 numbers each in 192 to 207, signed, `d` behind. A run reads 19 bytes, by twos but for `s`.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<256, 210>(m, row, column);
    uint i = column % 256;
    float scale = half_at(block + 208) * float(int(uint(block[192 + i / 16]) << 24) >> 24);
    uint2 q = by_halves(block + i / 128 * 64 + i % 64), high = by_halves(block + 128 + i / 128 * 32 + i % 32);
    uint low_shift = i / 64 % 2 * 4, high_shift = i / 32 % 4 * 2;
    UNROLL
    for (uint j = 0; j < RUN; j++) {
        uint value = (byte_of(q, j) >> low_shift & 15) | (byte_of(high, j) >> high_shift & 3) << 4;
        to[j] = scale * (float(value) - 32.0f);
    }
}
