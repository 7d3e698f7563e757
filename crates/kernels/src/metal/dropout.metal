// T: dtype of the tensors. The factors are those of random.rs, to the bit: integers are the same everywhere.

// The output function of SplitMix64.
inline ulong split_mix(ulong state) {
    ulong z = state + 0x9E3779B97F4A7C15ul;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ul;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBul;
    return z ^ (z >> 31);
}

// y = x times the factor of its element: 0 where 53 random bits are below `limit`, or else `kept`.
kernel void dropout(
    device const T* x [[buffer(0)]],
    constant Rows& x_rows [[buffer(1)]],
    device T* y [[buffer(2)]],
    constant ulong& mixed_seed [[buffer(3)]],
    constant ulong& limit [[buffer(4)]],
    constant float& kept [[buffer(5)]],
    uint2 position [[thread_position_in_grid]],
    uint2 grid [[threads_per_grid]])
{
    ulong element = ulong(position.y) * grid.x + position.x;
    ulong bits = split_mix(mixed_seed ^ (element * 0xD6E8FEB86659FD93ul)) >> 11;
    float value = float(x[row_start(x_rows, position.y) + position.x * x_rows.stride]);
    y[element] = T(bits < limit ? 0 : value * kept);
}
