//! Scales and numbers of a matrix, as `mlx.core.quantize` chooses them.

use crate::weight::slabs::each_slab;
use crate::{Error, Result};
use candle_core::Tensor;

/// Smallest step between two numbers.
const SMALLEST_SCALE: f32 = 1e-7;

/// Words, scales and biases of a matrix `(N, K)`.
pub(super) fn tensors(dense: &Tensor, bits: usize, group: usize) -> Result<[Tensor; 3]> {
    let (n, k) = dense.dims2()?;
    if !k.is_multiple_of(group) {
        let expected = format!("(N, K) with K a multiple of {group}");
        return Err(Error::shape("quantize", "dense", expected, dense));
    }
    let mut words = Vec::with_capacity(n * k * bits / 32);
    let (mut scales, mut biases) = (vec![], vec![]);
    each_slab(dense, |numbers| {
        for numbers in numbers.chunks(group) {
            let grid = Grid::of(numbers, bits);
            let first = words.len();
            words.resize(first + group * bits / 32, 0);
            grid.pack(numbers, &mut words[first..]);
            scales.push(grid.scale);
            biases.push(grid.bias);
        }
    })?;
    let floats = |values: Vec<f32>| {
        let tensor = Tensor::from_vec(values, (n, k / group), dense.device())?;
        tensor.to_dtype(dense.dtype())
    };
    let words = Tensor::from_vec(words, (n, k * bits / 32), dense.device())?;
    Ok([words, floats(scales)?, floats(biases)?])
}

/// Grid that the numbers of a group are rounded to: `scale * q + bias`.
struct Grid {
    scale: f32,
    bias: f32,
    bits: usize,
}

impl Grid {
    /// The end that is further from zero is on the grid, and so is zero.
    fn of(numbers: &[f32], bits: usize) -> Self {
        let min = numbers.iter().copied().fold(f32::INFINITY, f32::min);
        let max = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = ((max - min) / most(bits)).max(SMALLEST_SCALE);
        let (scale, end) = match min.abs() > max.abs() {
            true => (step, min),
            false => (-step, max),
        };
        match (end / scale).round_ties_even() {
            0.0 => Self {
                scale,
                bias: 0.0,
                bits,
            },
            steps => Self {
                scale: end / steps,
                bias: end,
                bits,
            },
        }
    }

    fn pack(&self, numbers: &[f32], words: &mut [u32]) {
        for (i, x) in numbers.iter().enumerate() {
            let q = ((x - self.bias) / self.scale).round_ties_even();
            let q = q.clamp(0.0, most(self.bits)) as u32;
            let (word, shift) = (i * self.bits / 32, i * self.bits % 32);
            words[word] |= q << shift;
            if shift + self.bits > 32 {
                words[word + 1] |= q >> (32 - shift);
            }
        }
    }
}

/// The largest number of so many bits.
fn most(bits: usize) -> f32 {
    ((1 << bits) - 1) as f32
}
