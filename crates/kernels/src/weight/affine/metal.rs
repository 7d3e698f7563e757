//! For kernels on Apple GPUs.

use super::{Affine, Packed};
use crate::metal::{Matrix, Operand, Source, format_source};
use candle_core::Result;

static SOURCE: Source = format_source!("affine", "affine.metal");

/// The packed matrix as it lies.
pub(super) fn matrix(packed: &Affine) -> Result<Matrix> {
    let parts = [&packed.words, &packed.scales, &packed.biases];
    let [words, scales, biases] = parts.map(Operand::of);
    let (words, scales, biases) = (words?, scales?, biases?);
    let matrix = Matrix::new(&SOURCE, [&words, &scales, &biases], packed.dims())?;
    Ok(matrix.with(("BITS", packed.bits as u32), packed.group.ilog2()))
}
