// Blocks of numbers, one behind the other in a row. PART_0: bytes.

// The block that a number is in; rows are whole blocks.
template <uint NUMBERS, uint BYTES>
inline device const uchar* block_of(Matrix m, uint row, uint column) {
    return m.part_0 + (ulong(row) * m.layout->columns + column) / NUMBERS * BYTES;
}

inline float half_at(device const uchar* from) {
    return float(*(device const half*)from);
}

// Eight of 32 numbers in the halves of 16 bytes: the first 16 are the low ones. It reads eight bytes, and so does the run
// 16 numbers further.
inline uint2 low_or_high(uint2 bytes, uint column) {
    uint shift = column % 32 / 16 * 4;
    return uint2(bytes.x >> shift & 0x0f0f0f0f, bytes.y >> shift & 0x0f0f0f0f);
}
