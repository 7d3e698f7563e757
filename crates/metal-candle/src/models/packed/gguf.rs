//! Matrices of GGUF files: blocks of bytes, whose type the file says.

use crate::models::Result;
use crate::models::weights::Weights;
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::gguf::Gguf;
use safetensors::Dtype;

/// The matrix at `path`, `(N, K)`, if it consists of blocks.
pub(super) fn matrix(
    weights: &Weights<'_>,
    path: &str,
    (n, k): (usize, usize),
) -> Result<Option<Weight>> {
    let name = format!("{path}.weight");
    let Some(block) = weights.block(&name) else {
        return Ok(None);
    };
    if !k.is_multiple_of(block.numbers()) {
        let (numbers, kind) = (block.numbers(), block.name());
        weights.problem(format!(
            "{name}: rows of {k} do not divide into blocks of {numbers} ({kind})"
        ));
    }
    let shape = (n, k / block.numbers() * block.bytes());
    let bytes = weights.of_dtypes(&name, shape, &[Dtype::U8])?;
    let packed = weights.pack(path, [bytes], |[bytes]| Ok(Gguf::new(bytes, block)?.into()));
    packed.map(Some)
}
