// 32 numbers in 20 bytes, `d q + m`: `d` and `m` in bytes 0 to 3, `q` in the halves of 4 to 19. A run reads 12 bytes.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    device const uchar* block = block_of<32, 20>(m, row, column);
    float d = half_at(block), low = half_at(block + 2);
    uint2 q = low_or_high(by_words(block + 4 + column % 16), column);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = d * float(byte_of(q, i)) + low;
    }
}
