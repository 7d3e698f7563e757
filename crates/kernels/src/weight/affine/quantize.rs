//! Scales and numbers of a matrix, as `mlx.core.quantize` chooses them.

use crate::weight::slabs::each_slab;
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use half::{bf16, f16};

/// Smallest step between two numbers.
const SMALLEST_SCALE: f32 = 1e-7;

/// Words, scales and biases of a matrix `(N, K)`; the last two of its dtype. In place of another matrix, `before`, they are of that
/// one's dtype, and a group keeps the grid that it had where its numbers are nearer to it.
pub(super) fn tensors(
    dense: &Tensor,
    bits: usize,
    group: usize,
    before: Option<&Before>,
) -> Result<[Tensor; 3]> {
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
            let grid = match before {
                None => grid,
                Some(before) => before.nearer(scales.len(), grid, numbers),
            };
            let first = words.len();
            words.resize(first + group * bits / 32, 0);
            grid.pack(numbers, &mut words[first..]);
            scales.push(grid.scale);
            biases.push(grid.bias);
        }
    })?;
    let floats = |values: Vec<f32>| {
        let tensor = Tensor::from_vec(values, (n, k / group), dense.device())?;
        tensor.to_dtype(before.map_or(dense.dtype(), |before| before.dtype))
    };
    let words = Tensor::from_vec(words, (n, k * bits / 32), dense.device())?;
    Ok([words, floats(scales)?, floats(biases)?])
}

/// Grids of the matrix that another one replaces.
pub(super) struct Before {
    dtype: DType,
    scales: Vec<f32>,
    biases: Vec<f32>,
}

impl Before {
    pub(super) fn new(scales: &Tensor, biases: &Tensor) -> Result<Self> {
        let values = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        Ok(Self {
            dtype: scales.dtype(),
            scales: values(scales)?,
            biases: values(biases)?,
        })
    }

    /// The grid that group `i` had, or `fresh` as it is stored if the numbers are nearer to that.
    fn nearer(&self, i: usize, fresh: Grid, numbers: &[f32]) -> Grid {
        let fresh = fresh.rounded(self.dtype);
        let old = Grid {
            scale: self.scales[i],
            bias: self.biases[i],
            bits: fresh.bits,
        };
        match old.square_error(numbers) <= fresh.square_error(numbers) {
            true => old,
            false => fresh,
        }
    }
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

    fn rounded(self, dtype: DType) -> Self {
        let round = |x: f32| match dtype {
            DType::F16 => f16::from_f32(x).to_f32(),
            DType::BF16 => bf16::from_f32(x).to_f32(),
            _ => x,
        };
        Self {
            scale: round(self.scale),
            bias: round(self.bias),
            bits: self.bits,
        }
    }

    /// Number of the place on the grid that is next to `x`.
    fn place(&self, x: f32) -> u32 {
        let q = ((x - self.bias) / self.scale).round_ties_even();
        q.clamp(0.0, most(self.bits)) as u32
    }

    fn square_error(&self, numbers: &[f32]) -> f32 {
        let errors = numbers
            .iter()
            .map(|x| self.scale * self.place(*x) as f32 + self.bias - x);
        errors.map(|error| error * error).sum()
    }

    fn pack(&self, numbers: &[f32], words: &mut [u32]) {
        for (i, x) in numbers.iter().enumerate() {
            let q = self.place(*x);
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
