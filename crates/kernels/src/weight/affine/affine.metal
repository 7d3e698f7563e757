// Numbers of BITS bits, a stream of them in a row of PART_0; scales in PART_1 and biases in PART_2, one for each group.
// Options: the logarithm of a group's size, and words before the stream. A run reads its BITS bytes, twice that where they lie in two words, and two factors.

inline void unpack(Matrix m, uint row, uint column, uint, thread float* to) {
    ulong at = ulong(row) * m.layout->columns + column;
    ulong group = at >> m.layout->options[0];
    float scale = float(m.part_1[group]), bias = float(m.part_2[group]);
    // A run is BITS bytes, which never lie in more than two words.
    ulong bit = at * BITS;
    device const uint* words = m.part_0 + m.layout->options[1];
    uint low = words[bit / 32], high = words[(bit + RUN * BITS - 1) / 32];
    ulong run = (ulong(high) << 32 | low) >> (bit % 32);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = scale * float(uint(run >> (i * BITS)) & ((1u << BITS) - 1)) + bias;
    }
}
