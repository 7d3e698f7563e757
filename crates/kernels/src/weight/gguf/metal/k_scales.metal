// Scale and minimum of 32 numbers, in float32: eight pairs of six bits in twelve bytes behind `d` and `dmin`. The first four of
// each are the low bits of the bytes 0 to 7; of the others four bits are in 8 to 11, and two above those. It reads six or
// seven bytes.
inline float2 scale_and_minimum(device const uchar* block, uint i) {
    device const uchar* bytes = block + 4;
    uint scale = bytes[i] & 63, minimum = bytes[i + 4] & 63;
    if (i >= 4) {
        uint both = bytes[i + 4];
        scale = (both & 15) | (bytes[i - 4] >> 6) << 4;
        minimum = both >> 4 | (bytes[i] >> 6) << 4;
    }
    return float2(half_at(block) * float(scale), half_at(block + 2) * float(minimum));
}
