//! Elements to and from f64, with a single rounding.

use candle_core::DType;
use half::{bf16, f16};

/// The value of the first element in `bytes`, little-endian; 0 if they are too few, or no float that
/// candle's kernels and MPS multiply.
pub fn decode(dtype: DType, bytes: &[u8]) -> f64 {
    match (dtype, bytes) {
        (DType::F32, &[a, b, c, d, ..]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (DType::F16, &[a, b, ..]) => f16::from_le_bytes([a, b]).to_f64(),
        (DType::BF16, &[a, b, ..]) => bf16::from_le_bytes([a, b]).to_f64(),
        _ => 0.0,
    }
}

/// `value` rounded to the nearest float of type `dtype`, ties to even, as little-endian bytes;
/// `None` for what no kernel writes.
pub fn encode(dtype: DType, value: f64) -> Option<Vec<u8>> {
    match dtype {
        DType::F32 => Some((value as f32).to_le_bytes().to_vec()),
        DType::F16 => Some(f16::from_f32(to_odd(value)).to_le_bytes().to_vec()),
        DType::BF16 => Some(bf16::from_f32(to_odd(value)).to_le_bytes().to_vec()),
        _ => None,
    }
}

/// `value` rounded to the nearest float of type `dtype`; as it is for other types.
pub fn round(dtype: DType, value: f64) -> f64 {
    encode(dtype, value).map_or(value, |bytes| decode(dtype, &bytes))
}

/// `value`, or the one of its neighbours among floats that ends in an odd bit: rounded once more, to
/// fewer bits, it is what `value` is (Boldo and Melquiond, Emulation of FMA and correctly rounded sums,
/// 2008).
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    let wide = f64::from(near);
    if wide == value || value.is_nan() {
        return near;
    }
    let farther = u32::from(wide.abs() > value.abs());
    f32::from_bits((near.to_bits() - farther) | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALVES: [(DType, u16); 2] = [(DType::F16, 0x7c00), (DType::BF16, 0x7f80)];

    fn of_code(dtype: DType, code: u16) -> f64 {
        decode(dtype, &code.to_le_bytes())
    }

    fn code(dtype: DType, value: f64) -> u16 {
        let bytes = encode(dtype, value).expect("a half");
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    #[test]
    fn every_code_comes_back() {
        for (dtype, infinity) in HALVES {
            for bits in (0..=u16::MAX).filter(|bits| bits & 0x7fff <= infinity) {
                assert_eq!(code(dtype, of_code(dtype, bits)), bits, "{bits:#06x}");
            }
            assert!(code(dtype, f64::NAN) & 0x7fff > infinity);
        }
    }

    #[test]
    fn halfway_goes_to_even_and_a_hair_beside_does_not() {
        for (dtype, infinity) in HALVES {
            for bits in 0..infinity - 1 {
                let [below, above] = [bits, bits + 1].map(|bits| of_code(dtype, bits));
                let halfway = (below + above) / 2.0;
                assert_eq!(code(dtype, halfway), bits + bits % 2, "{bits:#06x}");
                assert_eq!(code(dtype, halfway.next_down()), bits, "{bits:#06x}");
                let above = 0x8000 | (bits + 1);
                assert_eq!(code(dtype, -halfway.next_up()), above, "{bits:#06x}");
            }
        }
    }

    #[test]
    fn overflow_is_infinite() {
        assert_eq!(code(DType::F16, 65519.999), 0x7bff);
        assert_eq!(code(DType::F16, 65520.0), 0x7c00);
        assert_eq!(code(DType::F16, 1e300), 0x7c00);
        assert_eq!(code(DType::BF16, -f64::MAX), 0xff80);
        assert_eq!(code(DType::F16, f64::from_bits(1)), 0);
    }

    #[test]
    fn f32_is_little_endian() {
        assert_eq!(decode(DType::F32, &[0, 0, 0x80, 0x3f]), 1.0);
        assert_eq!(encode(DType::F32, -2.0), Some(vec![0, 0, 0, 0xc0]));
        assert_eq!(encode(DType::I64, 1.0), None);
    }
}
