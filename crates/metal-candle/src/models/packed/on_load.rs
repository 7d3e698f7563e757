//! Packing dense weights while they are read, one after the other: a model is never dense in memory
//! as a whole.

use crate::models::Result;
use crate::models::config::OnLoad;
use crate::models::weights::Weights;
use candle_core::Tensor;
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use metal_candle_kernels::weight::bnb_4bit::Bnb4bit;

const BITS: usize = 4;
const GROUP: usize = 64;

/// `dense`, or what it is to be packed to.
pub(super) fn matrix(weights: &Weights<'_>, path: &str, dense: Tensor) -> Result<Weight> {
    let Some(to) = weights.on_load() else {
        return Ok(dense.into());
    };
    let is_packed = match to {
        OnLoad::Nf4 => path.contains(".layers."),
        OnLoad::Affine => dense.dims().last().is_some_and(|k| k.is_multiple_of(GROUP)),
    };
    match is_packed {
        false => Ok(dense.into()),
        true => weights.pack(path, [dense], |[dense]| {
            Ok(match to {
                OnLoad::Nf4 => Bnb4bit::quantize(&dense)?.into(),
                OnLoad::Affine => Affine::quantize(&dense, BITS, GROUP)?.into(),
            })
        }),
    }
}
