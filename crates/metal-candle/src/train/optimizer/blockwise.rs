//! Numbers in eight bits, a block of them with one scale (Dettmers, Lewis, Shleifer, Zettlemoyer 2021, arXiv 2110.02861).
//!
//! A code stands for a value in [-1, 1], or in [0, 1], of the dynamic map, `bitsandbytes.functional.create_dynamic_map`:
//! its exponent is of base ten, and the smaller it is the fewer bits the fraction has. A number is the value times the
//! largest magnitude in its block.

use super::super::Result;
use candle_core::{D, DType, Device, Tensor};
use std::sync::LazyLock;

/// Numbers with one scale, as in bitsandbytes.
pub(super) const BLOCK: usize = 256;

/// Exponents of ten of the dynamic map, the smallest first.
const EXPONENTS: usize = 7;

/// Codes of numbers of both signs.
pub(super) static SIGNED: LazyLock<Codes> = LazyLock::new(|| Codes::new(true));

/// Codes of numbers that are not negative.
pub(super) static UNSIGNED: LazyLock<Codes> = LazyLock::new(|| Codes::new(false));

/// Values of the codes, in rising order.
#[derive(Debug)]
pub(super) struct Codes {
    values: Vec<f32>,
    /// Where a number is as near to a value as to the next one.
    midpoints: Vec<f32>,
}

impl Codes {
    fn new(signed: bool) -> Self {
        let mut values = vec![0.0, 1.0];
        for exponent in 0..EXPONENTS {
            let n = 1 << (exponent + usize::from(!signed));
            let scale = 10f64.powi(exponent as i32 + 1 - EXPONENTS as i32) as f32;
            for mean in means(n) {
                values.push(scale * mean);
                values.extend(signed.then_some(-scale * mean));
            }
        }
        values.sort_by(f32::total_cmp);
        let midpoints = values.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
        Self {
            midpoints: midpoints.collect(),
            values,
        }
    }

    /// The value of a code.
    pub(super) fn value(&self, code: u8) -> f32 {
        self.values[usize::from(code)]
    }

    /// Code of the value that is nearest to `x`.
    fn nearest(&self, x: f32) -> u8 {
        self.midpoints.partition_point(|midpoint| *midpoint < x) as u8
    }

    /// Writes the codes of the numbers of one block; gives its scale.
    pub(super) fn quantise(&self, numbers: &[f32], codes: &mut [u8]) -> f32 {
        let largest = numbers.iter().fold(0f32, |most, x| most.max(x.abs()));
        let scale = if largest == 0.0 { 1.0 } else { largest };
        for (code, x) in codes.iter_mut().zip(numbers) {
            *code = self.nearest(x / scale);
        }
        largest
    }

    /// Numbers of `codes`, `(N)`, whose blocks have the scales `(ceil(N / BLOCK))`, on any device.
    pub(super) fn numbers(&self, codes: &Tensor, scales: &Tensor) -> Result<Tensor> {
        let n = codes.elem_count();
        let values = Tensor::new(self.values.as_slice(), codes.device())?;
        let values = values.index_select(&codes.detach().to_dtype(DType::U32)?, 0)?;
        let numbers = in_blocks(&values)?.broadcast_mul(&scales.detach().unsqueeze(1)?)?;
        Ok(numbers.flatten_all()?.narrow(0, 0, n)?.contiguous()?)
    }

    /// Codes and scales of `numbers`, `(N)`, on any device.
    pub(super) fn codes(&self, numbers: &Tensor) -> Result<(Tensor, Tensor)> {
        let (n, device) = (numbers.elem_count(), numbers.device());
        let blocks = in_blocks(numbers)?;
        let scales = blocks.abs()?.max(D::Minus1)?;
        let divisors = (&scales + scales.eq(0f32)?.to_dtype(DType::F32)?)?;
        let x = blocks
            .broadcast_div(&divisors.unsqueeze(1)?)?
            .flatten_all()?;
        let codes = self.search(&x, device)?.narrow(0, 0, n)?;
        Ok((codes.to_dtype(DType::U8)?.contiguous()?, scales))
    }

    /// Number of midpoints below every one of `x`, `(N)`, as float32.
    fn search(&self, x: &Tensor, device: &Device) -> Result<Tensor> {
        let midpoints = Tensor::new(self.midpoints.as_slice(), device)?;
        let mut below = x.zeros_like()?;
        for step in (0..8).rev().map(|bit| f64::from(1 << bit)) {
            let at = (&below + (step - 1.0))?.to_dtype(DType::U32)?;
            let is_above = x.gt(&midpoints.index_select(&at, 0)?)?;
            below = (below + (is_above.to_dtype(DType::F32)? * step)?)?;
        }
        Ok(below)
    }
}

/// Means of neighbours among `n + 1` numbers from 0.1 to 1 at equal distances, as torch has them.
fn means(n: usize) -> Vec<f32> {
    let (start, end) = (0.1f32, 1f32);
    let step = (end - start) / n as f32;
    let number = |i: usize| match i < n.div_ceil(2) {
        true => step.mul_add(i as f32, start),
        false => step.mul_add(-((n - i) as f32), end),
    };
    (0..n).map(|i| (number(i) + number(i + 1)) / 2.0).collect()
}

/// Numbers, `(N)`, in blocks, `(ceil(N / BLOCK), BLOCK)`, with zeros at the end.
fn in_blocks(numbers: &Tensor) -> Result<Tensor> {
    let n = numbers.elem_count();
    let n_blocks = n.div_ceil(BLOCK);
    let padded = numbers.pad_with_zeros(0, 0, n_blocks * BLOCK - n)?;
    Ok(padded.reshape((n_blocks, BLOCK))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        let of = |i: usize| ((i * i) as f32 * 0.37).sin() * 10f32.powi(-((i % 6) as i32));
        (0..n).map(of).collect()
    }

    #[test]
    fn tensors_have_the_codes_of_memory() {
        for n in [1, 255, 256, 257, 1000] {
            for (map, sign) in [(&*SIGNED, 1.0), (&*UNSIGNED, 0.0)] {
                let xs = numbers(n);
                let xs: Vec<f32> = xs
                    .iter()
                    .map(|x| if sign == 0.0 { x.abs() } else { *x })
                    .collect();
                let mut codes = vec![0u8; n];
                let blocks = codes.chunks_mut(BLOCK).zip(xs.chunks(BLOCK));
                let scales: Vec<f32> = blocks.map(|(codes, xs)| map.quantise(xs, codes)).collect();
                let x = Tensor::new(xs.as_slice(), &Device::Cpu).unwrap();
                let (got, got_scales) = map.codes(&x).unwrap();
                assert_eq!(got.to_vec1::<u8>().unwrap(), codes, "{n}");
                assert_eq!(got_scales.to_vec1::<f32>().unwrap(), scales);
                let back = map
                    .numbers(&got, &got_scales)
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap();
                for (i, (back, x)) in back.iter().zip(&xs).enumerate() {
                    assert_eq!(*back, map.value(codes[i]) * scales[i / BLOCK]);
                    // Values are as far apart as 7.75 and 21.25 times a power of ten, the smallest as 0.55e-6 and 3.25e-6.
                    let most = 0.47 * x.abs() + 1.4e-6 * scales[i / BLOCK];
                    assert!((back - x).abs() <= most, "{back}, {x}");
                }
            }
        }
    }

    #[test]
    fn values_are_those_of_bitsandbytes() {
        let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("tests/golden/optimizers/bnb.safetensors");
        let golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        for (name, map) in [("signed", &*SIGNED), ("unsigned", &*UNSIGNED)] {
            assert_eq!(map.values, golden[name].to_vec1::<f32>().unwrap(), "{name}");
        }
    }

    #[test]
    fn a_block_of_zeros_is_zeros() {
        for map in [&*SIGNED, &*UNSIGNED] {
            let mut codes = [7u8; 5];
            assert_eq!(map.quantise(&[0.0; 5], &mut codes), 0.0);
            assert!(codes.iter().all(|code| map.value(*code) == 0.0));
        }
    }
}
