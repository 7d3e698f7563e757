//! Elements to and from f64, with a single rounding.

use super::DataType;

/// Fraction bits of f16, bf16 and the exponent bits that go with them.
const F16: Half = Half {
    exponent_bits: 5,
    fraction_bits: 10,
};
const BF16: Half = Half {
    exponent_bits: 8,
    fraction_bits: 7,
};

/// The value of the first element in `bytes`, little-endian; 0 if they are too few.
///
/// Exact but for 64-bit integers over 2^53.
pub fn decode(dtype: DataType, bytes: &[u8]) -> f64 {
    let mut low = [0; 8];
    let len = dtype.size_in_bytes().min(bytes.len());
    low[..len].copy_from_slice(&bytes[..len]);
    let bits = u64::from_le_bytes(low);
    match dtype {
        DataType::Float32 => f64::from(f32::from_bits(bits as u32)),
        DataType::Float16 => F16.decode(bits as u16),
        DataType::BFloat16 => BF16.decode(bits as u16),
        DataType::Int8 => f64::from(bits as u8 as i8),
        DataType::Int16 => f64::from(bits as u16 as i16),
        DataType::Int32 => f64::from(bits as u32 as i32),
        DataType::Int64 => bits as i64 as f64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => bits as f64,
    }
}

/// `value` rounded to the nearest float of type `dtype`, ties to even, as little-endian bytes;
/// `None` for integers, which no kernel writes.
pub fn encode(dtype: DataType, value: f64) -> Option<Vec<u8>> {
    match dtype {
        DataType::Float32 => Some((value as f32).to_le_bytes().to_vec()),
        DataType::Float16 => Some(F16.encode(value).to_le_bytes().to_vec()),
        DataType::BFloat16 => Some(BF16.encode(value).to_le_bytes().to_vec()),
        _ => None,
    }
}

/// `value` rounded to the nearest float of type `dtype`; as it is for integers.
pub fn round(dtype: DataType, value: f64) -> f64 {
    encode(dtype, value).map_or(value, |bytes| decode(dtype, &bytes))
}

/// A 16-bit binary float: sign, exponent, fraction, with subnormals, infinities and NaN.
struct Half {
    exponent_bits: u32,
    fraction_bits: u32,
}

impl Half {
    fn bias(&self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn infinity(&self) -> u16 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    fn decode(&self, code: u16) -> f64 {
        let sign = if code >> 15 == 1 { -1.0 } else { 1.0 };
        let magnitude = code & 0x7fff;
        let exponent = i32::from(magnitude >> self.fraction_bits);
        let fraction = magnitude & ((1 << self.fraction_bits) - 1);
        if magnitude >= self.infinity() {
            return if fraction == 0 {
                sign * f64::INFINITY
            } else {
                f64::NAN
            };
        }
        let leading = u16::from(exponent > 0) << self.fraction_bits;
        let quantum = exponent.max(1) - self.bias() - self.fraction_bits as i32;
        sign * f64::from(leading + fraction) * power_of_two(quantum)
    }

    fn encode(&self, value: f64) -> u16 {
        let sign = u16::from(value.is_sign_negative()) << 15;
        let magnitude = if value.is_nan() {
            self.infinity() | 1 << (self.fraction_bits - 1)
        } else if value.is_infinite() {
            self.infinity()
        } else {
            self.encode_magnitude(value.abs())
        };
        sign | magnitude
    }

    /// Counts quanta of the binade that `magnitude` is in. A count that reaches the next binade
    /// carries into the exponent, and one past the last binade is infinity.
    fn encode_magnitude(&self, magnitude: f64) -> u16 {
        let exponent = (magnitude.to_bits() >> 52) as i32 - 1023;
        let exponent = exponent.max(1 - self.bias());
        let quanta = magnitude * power_of_two(self.fraction_bits as i32 - exponent);
        let binade = ((exponent + self.bias() - 1) as u64) << self.fraction_bits;
        let code = binade + quanta.round_ties_even() as u64;
        code.min(u64::from(self.infinity())) as u16
    }
}

/// `2^exponent`, for exponents of normal f64 values.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finite magnitudes in order, which is also the order of their codes.
    fn magnitudes(half: &Half) -> Vec<f64> {
        (0..half.infinity()).map(|code| half.decode(code)).collect()
    }

    #[test]
    fn known_f16_values() {
        let known = [
            (0x0000, 0.0),
            (0x0001, 2f64.powi(-24)),
            (0x0400, 2f64.powi(-14)),
            (0x3555, 0.333251953125),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0xfc00, f64::NEG_INFINITY),
        ];
        for (code, value) in known {
            assert_eq!(F16.decode(code), value, "{code:#06x}");
            assert_eq!(F16.encode(value), code, "{value}");
        }
    }

    #[test]
    fn bf16_is_the_upper_half_of_f32() {
        for code in 0..=u16::MAX {
            let value = f64::from(f32::from_bits(u32::from(code) << 16));
            let decoded = BF16.decode(code);
            let same = decoded == value || decoded.is_nan() && value.is_nan();
            assert!(same, "{code:#06x}: {decoded} {value}");
        }
    }

    #[test]
    fn every_code_comes_back() {
        for half in [F16, BF16] {
            for code in (0..=u16::MAX).filter(|code| code & 0x7fff <= half.infinity()) {
                assert_eq!(half.encode(half.decode(code)), code, "{code:#06x}");
            }
            let nan = half.encode(f64::NAN) & 0x7fff;
            assert!(nan > half.infinity(), "{nan:#06x}");
        }
    }

    #[test]
    fn halfway_goes_to_even_and_a_hair_beside_does_not() {
        for half in [F16, BF16] {
            for (code, pair) in (0u16..).zip(magnitudes(&half).windows(2)) {
                let halfway = (pair[0] + pair[1]) / 2.0;
                assert_eq!(half.encode(halfway), code + code % 2, "{code:#06x}");
                assert_eq!(half.encode(halfway.next_down()), code, "{code:#06x}");
                assert_eq!(
                    half.encode(-halfway.next_up()),
                    0x8000 | (code + 1),
                    "{code:#06x}"
                );
            }
        }
    }

    #[test]
    fn overflow_is_infinite() {
        assert_eq!(F16.encode(65519.999), 0x7bff);
        assert_eq!(F16.encode(65520.0), 0x7c00);
        assert_eq!(F16.encode(1e300), 0x7c00);
        assert_eq!(BF16.encode(-f64::MAX), 0xff80);
        assert_eq!(F16.encode(f64::from_bits(1)), 0);
    }

    #[test]
    fn integers_are_signed_as_named() {
        let bytes = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for (dtype, value) in [
            (DataType::Int8, -2.0),
            (DataType::Int16, -2.0),
            (DataType::Int32, -2.0),
            (DataType::Int64, -2.0),
            (DataType::UInt8, 254.0),
            (DataType::UInt16, 65534.0),
            (DataType::UInt32, 4294967294.0),
        ] {
            assert_eq!(decode(dtype, &bytes), value, "{dtype}");
            assert_eq!(encode(dtype, value), None, "{dtype}");
        }
    }

    #[test]
    fn f32_is_little_endian() {
        assert_eq!(decode(DataType::Float32, &[0, 0, 0x80, 0x3f]), 1.0);
        assert_eq!(encode(DataType::Float32, -2.0), Some(vec![0, 0, 0, 0xc0]));
    }
}
