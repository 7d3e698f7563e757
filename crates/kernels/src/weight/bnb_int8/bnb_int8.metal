// Rows of signed bytes in PART_0, the largest magnitude of each in PART_1. A run reads 12 bytes.
// float32 alone: PART_1.

constant constexpr float PER_STEP = 1.0f / 127.0f;

inline void unpack(Matrix m, uint row, uint column, uint count, thread float* to) {
    uint2 q = any_bytes(m.part_0, ulong(row) * m.layout->columns + column, count);
    float largest = m.part_1[row];
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = float(signed_byte_of(q, i)) * largest * PER_STEP;
    }
}
