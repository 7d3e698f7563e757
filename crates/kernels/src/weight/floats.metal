// Floats of a few bits, as the tables in `codes.rs` have them.

// e2m1: a sign, two bits of an exponent, one of a fraction.
constant float E2M1[16] = {
    0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f,
};

// e4m3 without infinities: a sign, four bits of an exponent, three of a fraction. No float32 below the smallest normal one
// comes up, which a GPU may take for zero.
inline float e4m3(uint byte) {
    uint exponent = byte >> 3 & 15, fraction = byte & 7;
    float normal = as_type<float>((exponent + 120) << 23 | fraction << 20);
    float magnitude = exponent == 0 ? float(fraction) / 512.0f : normal;
    return byte < 128 ? magnitude : -magnitude;
}

// e8m0: an exponent alone, `2^(s - 127)`.
inline float e8m0(uint byte) {
    return as_type<float>(byte == 0 ? 1u << 22 : byte << 23);
}

// Eight numbers of e2m1 in a word, from the least significant bits on.
inline void unpack_e2m1(uint word, float scale, thread float* to) {
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        to[i] = E2M1[word >> (i * 4) & 15] * scale;
    }
}
