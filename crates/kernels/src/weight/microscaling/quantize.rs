//! Scales and numbers of a matrix, as `mlx.core.quantize` chooses them.

use super::{Kind, Microscaled};
use crate::weight::codes::{E2M1, E4M3, E8M0};
use crate::weight::slabs::each_slab;
use crate::{Error, Result};
use candle_core::Tensor;

/// Bytes of scales of the matrix that another one replaces.
pub(super) struct Before {
    scales: Vec<u8>,
}

impl Before {
    pub(super) fn new(packed: &Microscaled) -> Result<Self> {
        let scales = packed.scales.flatten_all()?.to_vec1::<u8>()?;
        Ok(Self { scales })
    }
}

/// Words and scales of a matrix `(N, K)`. In place of another matrix, `before`, a group keeps the scale that it had where
/// its numbers are nearer to those of that scale.
pub(super) fn tensors(dense: &Tensor, kind: Kind, before: Option<&Before>) -> Result<[Tensor; 2]> {
    let (n, k) = dense.dims2()?;
    let (group, bits) = (kind.group(), kind.bits());
    if !k.is_multiple_of(group) {
        let expected = format!("(N, K) with K a multiple of {group}");
        return Err(Error::shape("quantize", "dense", expected, dense));
    }
    let mut words = Vec::with_capacity(n * k * bits / 32);
    let mut scales = Vec::with_capacity(n * k / group);
    each_slab(dense, |numbers| {
        for numbers in numbers.chunks(group) {
            let grid = Grid::of(numbers, kind);
            let grid = match before {
                None => grid,
                Some(before) => grid.or_nearer(before.scales[scales.len()], numbers),
            };
            scales.push(grid.scale);
            let words_of_group = numbers.chunks(32 / bits).map(|numbers| {
                let numbers = numbers.iter().rev();
                numbers.fold(0, |word, x| word << bits | u32::from(grid.code(*x)))
            });
            words.extend(words_of_group);
        }
    })?;
    Ok([
        Tensor::from_vec(words, (n, k * bits / 32), dense.device())?,
        Tensor::from_vec(scales, (n, k / group), dense.device())?,
    ])
}

/// Numbers that the codes of a group stand for.
#[derive(Clone, Copy)]
struct Grid {
    kind: Kind,
    /// Byte of the scale.
    scale: u8,
}

impl Grid {
    /// The largest magnitude is at the end of the grid, or inside of it.
    fn of(numbers: &[f32], kind: Kind) -> Self {
        let most = numbers.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        let scale = match kind {
            Kind::Mxfp4 => power_above(most / 6.0),
            Kind::Mxfp8 => power_above(most / 448.0),
            Kind::Nvfp4 => nearest(&E4M3[..127], most / 6.0),
        };
        Self { kind, scale }
    }

    /// The grid of another scale, if the numbers are as near to that one.
    fn or_nearer(self, scale: u8, numbers: &[f32]) -> Self {
        let other = Self { scale, ..self };
        match other.square_error(numbers) <= self.square_error(numbers) {
            true => other,
            false => self,
        }
    }

    fn factor(self) -> f32 {
        self.kind.scales()[usize::from(self.scale)]
    }

    fn code(self, x: f32) -> u8 {
        let factor = self.factor();
        let x = if factor == 0.0 { 0.0 } else { x / factor };
        let (values, sign) = match self.kind.bits() {
            4 => (&E2M1[..8], 8),
            _ => (&E4M3[..127], 128),
        };
        let code = nearest(values, x.abs());
        // Zero has no sign in four bits.
        match x.is_sign_negative() && (code != 0 || sign == 128) {
            true => code | sign,
            false => code,
        }
    }

    fn number(self, code: u8) -> f32 {
        let values = match self.kind.bits() {
            4 => &E2M1[..],
            _ => &E4M3[..],
        };
        values[usize::from(code)] * self.factor()
    }

    fn square_error(self, numbers: &[f32]) -> f32 {
        let errors = numbers.iter().map(|x| self.number(self.code(*x)) - x);
        errors.map(|error| error * error).sum()
    }
}

/// Place of the value nearest to `x` of values from zero up; of two, the even one. What is above all is the last.
fn nearest(values: &[f32], x: f32) -> u8 {
    let above = values.partition_point(|value| *value < x);
    let place = match (above.checked_sub(1), values.get(above)) {
        (None, _) => 0,
        (Some(below), None) => below,
        (Some(below), Some(next)) => {
            let (down, up) = (x - values[below], next - x);
            let takes_next = up < down || up == down && below % 2 == 1;
            below + usize::from(takes_next)
        }
    };
    place as u8
}

/// Byte of the smallest power of two that is not below `x`; that of one for zero, as MLX has it.
fn power_above(x: f32) -> u8 {
    if x == 0.0 {
        return 127;
    }
    let byte = E8M0[..255].partition_point(|power| *power < x);
    byte.min(254) as u8
}
