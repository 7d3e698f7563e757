// 32 numbers in 18 bytes, `d v[q]` with a table `v`: `d` in bytes 0 and 1, `q` in the halves of 2 to 17. A run reads 10 bytes,
// by twos.

constant float VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<32, 18>(m, row, column);
    float d = half_at(block);
    uint2 q = low_or_high(by_halves(block + 2 + column % 16), column);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = d * VALUES[byte_of(q, i)];
    }
}
