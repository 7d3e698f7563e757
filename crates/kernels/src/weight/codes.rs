//! Numbers that are stored as codes of 4 or 8 bits: a code's value, times a factor of its group.

/// Values of the codes of 8 bits.
pub(super) type Table = [f32; 256];

/// Values of the two codes of 4 bits in a byte, in their order.
pub(super) type Pairs = [[f32; 2]; 256];

/// Half of a byte that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The low one, as MLX and GGUF have it.
    Low,
    /// The high one, as bitsandbytes has it.
    High,
}

/// Values of bytes, of those of the codes.
pub(super) const fn pairs(values: &[f32; 16], first: First) -> Pairs {
    let mut pairs = [[0.0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (low, high) = (values[byte & 15], values[byte >> 4]);
        pairs[byte] = match first {
            First::Low => [low, high],
            First::High => [high, low],
        };
        byte += 1;
    }
    pairs
}

/// Numbers from `first` on, of codes of 4 bits.
#[inline(always)]
pub(super) fn unpack_pairs(pairs: &Pairs, bytes: &[u8], first: usize, to: &mut [f32], factor: f32) {
    let end = first + to.len();
    let number = |index: usize| pairs[bytes[index / 2] as usize][index % 2] * factor;
    let (head, rest) = to.split_at_mut((first % 2).min(to.len()));
    if let [to] = head {
        *to = number(first);
    }
    let (whole, tail) = rest.as_chunks_mut::<2>();
    for (to, byte) in whole.iter_mut().zip(&bytes[first.div_ceil(2)..]) {
        let [a, b] = pairs[*byte as usize];
        *to = [a * factor, b * factor];
    }
    if let [to] = tail {
        *to = number(end - 1);
    }
}

/// Numbers of codes of 8 bits.
#[inline(always)]
pub(super) fn unpack_bytes(table: &Table, bytes: &[u8], to: &mut [f32], factor: f32) {
    for (to, byte) in to.iter_mut().zip(bytes) {
        *to = table[*byte as usize] * factor;
    }
}

/// Values of e2m1: a sign, two bits of an exponent, one of a fraction.
pub(super) const E2M1: [f32; 16] = [
    0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
];

/// Values of e4m3 without infinities: a sign, four bits of an exponent, three of a fraction.
pub(super) const E4M3: Table = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (exponent, fraction) = (byte as u32 >> 3 & 15, byte as u32 & 7);
        let magnitude = match (exponent, fraction) {
            (15, 7) => f32::NAN,
            // 2^-9 is the smallest number.
            (0, _) => fraction as f32 / 512.0,
            _ => f32::from_bits((exponent + 120) << 23 | fraction << 20),
        };
        table[byte] = match byte < 128 {
            true => magnitude,
            false => -magnitude,
        };
        byte += 1;
    }
    table
};

/// Value of a number of e4m3, by arithmetic that a compiler makes vector instructions of.
#[inline(always)]
pub(super) fn e4m3(byte: u8) -> f32 {
    let (sign, magnitude) = (u32::from(byte >> 7) << 31, u32::from(byte & 0x7f));
    let small = (magnitude as i32 as f32 / 512.0).to_bits();
    let normal = (magnitude << 20) + (120 << 23);
    f32::from_bits(sign | if magnitude < 8 { small } else { normal })
}

/// Value of a number of e8m0, likewise.
#[inline(always)]
pub(super) fn e8m0(byte: u8) -> f32 {
    f32::from_bits((u32::from(byte) << 23).max(1 << 22))
}

/// Values of e8m0: an exponent alone, `2^(s - 127)`; 255 is NaN.
pub(super) const E8M0: Table = {
    let mut table = [f32::NAN; 256];
    table[0] = f32::from_bits(1 << 22);
    let mut byte = 1;
    while byte < 255 {
        table[byte] = f32::from_bits((byte as u32) << 23);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{E4M3, E8M0, Table, e4m3, e8m0};

    #[test]
    fn arithmetic_gives_the_values_of_tables() {
        for byte in 0..=255 {
            let is = |table: &Table, value: f32| {
                let want = table[usize::from(byte)];
                want.is_nan() || value.to_bits() == want.to_bits()
            };
            assert!(is(&E4M3, e4m3(byte)) && is(&E8M0, e8m0(byte)), "{byte}");
        }
    }
}
