// Eight bytes in two words, the first in the least significant bits.

// From a multiple of four bytes on.
inline uint2 by_words(device const uchar* from) {
    device const uint* words = (device const uint*)from;
    return uint2(words[0], words[1]);
}

// From a multiple of two bytes on.
inline uint2 by_halves(device const uchar* from) {
    device const ushort* halves = (device const ushort*)from;
    return uint2(halves[0] | uint(halves[1]) << 16, halves[2] | uint(halves[3]) << 16);
}

// `count` bytes from anywhere on, and zeros: one by one where they do not begin with a word.
inline uint2 any_bytes(device const uchar* from, ulong at, uint count) {
    if (at % 4 == 0 && count == RUN) {
        return by_words(from + at);
    }
    uint2 bytes = uint2(0, 0);
    UNROLL
    for (uint i = 0; i < RUN; i++) {
        bytes[i / 4] |= i < count ? uint(from[at + i]) << (i % 4 * 8) : 0u;
    }
    return bytes;
}

inline uint byte_of(uint2 bytes, uint i) {
    return bytes[i / 4] >> (i % 4 * 8) & 0xff;
}

inline int signed_byte_of(uint2 bytes, uint i) {
    return int(bytes[i / 4] << (24 - i % 4 * 8)) >> 24;
}
