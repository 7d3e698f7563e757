use super::shards::Shards;
use crate::models::Result;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

/// Agreement of two tensors of a checkpoint that ought to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::models) enum Agreement {
    /// Number for number.
    Same,
    /// But for the rounding of one to the other's dtype.
    Rounded,
    /// They are two tensors.
    Different,
}

/// Numbers that are compared at a time.
const RUN: usize = 1 << 16;

impl Shards {
    /// Compares two tensors of one shape in the files, a run at a time: the second one is never
    /// held whole.
    pub(super) fn agreement(&self, a: &str, b: &str) -> Result<Agreement> {
        let (Some((shard_a, a)), Some((shard_b, b))) = (self.find(a), self.find(b)) else {
            return Ok(Agreement::Different);
        };
        let (a, b) = (&a.info, &b.info);
        let (count, bound) = (a.shape.iter().product::<usize>(), Bound::between(a, b));
        let mut is_same = true;
        for start in (0..count).step_by(RUN) {
            let run = start..count.min(start + RUN);
            let (x, y) = (shard_a.numbers(a, run.clone())?, shard_b.numbers(b, run)?);
            is_same &= x == y;
            if x.iter().zip(&y).any(|(x, y)| !bound.holds(*x, *y)) {
                return Ok(Agreement::Different);
            }
        }
        Ok(match is_same {
            true => Agreement::Same,
            false => Agreement::Rounded,
        })
    }
}

/// Largest difference that a conversion leaves, by rounding or by cutting digits off.
#[derive(Clone, Copy)]
struct Bound {
    relative: f32,
    absolute: f32,
}

impl Bound {
    /// One unit in the last place of the coarser dtype; of float16 also below its normal numbers.
    fn between(a: &TensorInfo, b: &TensorInfo) -> Self {
        let (relative, absolute) = match (a.dtype, b.dtype) {
            (a, b) if a == b => (0.0, 0.0),
            (Dtype::BF16, _) | (_, Dtype::BF16) => (2f32.powi(-7), 2f32.powi(-24)),
            _ => (2f32.powi(-10), 2f32.powi(-24)),
        };
        Self { relative, absolute }
    }

    fn holds(self, x: f32, y: f32) -> bool {
        (x - y).abs() <= self.relative * x.abs().max(y.abs()) + self.absolute
    }
}
