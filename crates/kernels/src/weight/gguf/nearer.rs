//! Blocks in place of others: a block stays as it was where that is nearer to its new numbers than what the quantizer makes of these.
//! The scales of blocks of 256 are found by a search, which finds others for numbers that are in blocks already.

use super::{Gguf, Packed};
use crate::Result;
use crate::weight::check;
use candle_core::{DType, Tensor};

/// `dense` in blocks of the type of `before`.
pub(super) fn pack(before: &Gguf, dense: &Tensor) -> Result<Gguf> {
    check::rows("gguf", "dense", before.dims(), dense, &[DType::F32])?;
    let fresh = Gguf::quantize(dense, before.block)?;
    let [wanted, of_old, of_fresh] = [dense, &before.dense()?, &fresh.dense()?].map(numbers);
    let (wanted, of_old, of_fresh) = (wanted?, of_old?, of_fresh?);
    let old = bytes(before)?;
    let mut bytes = bytes(&fresh)?;
    let (n, width) = (before.block.numbers(), before.block.bytes());
    for (i, block) in bytes.chunks_exact_mut(width).enumerate() {
        let error = |of: &[f32]| square_error(&of[i * n..][..n], &wanted[i * n..][..n]);
        if error(&of_old) <= error(&of_fresh) {
            block.copy_from_slice(&old[i * width..][..width]);
        }
    }
    let bytes = Tensor::from_vec(bytes, before.bytes.dims2()?, before.bytes.device())?;
    Gguf::new(bytes, before.block)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

fn bytes(packed: &Gguf) -> Result<Vec<u8>> {
    Ok(packed.bytes.flatten_all()?.to_vec1()?)
}

fn square_error(numbers: &[f32], wanted: &[f32]) -> f32 {
    let errors = numbers.iter().zip(wanted).map(|(a, b)| a - b);
    errors.map(|error| error * error).sum()
}
