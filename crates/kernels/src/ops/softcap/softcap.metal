inline float softcap(float x, float cap) {
    return cap * tanh(x / cap);
}

// The derivative of `softcap` at its result y.
inline float softcap_slope(float y, float cap) {
    return 1 - (y / cap) * (y / cap);
}
