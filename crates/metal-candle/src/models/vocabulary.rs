use super::{Error, Model, Result};
use crate::lora::{EMBEDDING, HEAD};
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::Weight;
use std::collections::BTreeMap;

/// Rows that are summed at a time.
const ROWS: usize = 4096;

impl Model {
    /// Gives the token embedding and the output head rows for `n_tokens` tokens, if they have fewer. Rows that `new_rows`
    /// does not hold, by the names of the weights, are the mean of those that were there: what transformers'
    /// `resize_token_embeddings` draws from a distribution about it, without the noise.
    ///
    /// # Errors
    /// When a matrix is packed, new rows are not as many as there are new tokens, or memory runs out.
    pub fn grow_vocabulary(
        &mut self,
        n_tokens: usize,
        new_rows: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let had = self.config.vocab_size;
        if n_tokens <= had {
            return Ok(());
        }
        let mut grown = vec![];
        for (path, matrix) in self.decoder.matrices_mut() {
            if ![EMBEDDING, HEAD].contains(&path.as_str()) {
                continue;
            }
            let given = new_rows.get(&format!("{path}.weight"));
            let weight = match &*matrix {
                Weight::Dense(weight) => with_rows(weight, n_tokens, given)?,
                Weight::Packed(packed) => {
                    let kind = packed.kind();
                    return Err(Error::PackedVocabulary { path, kind });
                }
            };
            grown.push((matrix, weight));
        }
        for (matrix, weight) in grown {
            *matrix = weight.into();
        }
        self.decoder.set_vocab_size(n_tokens);
        self.config.vocab_size = n_tokens;
        self.raw_config["vocab_size"] = n_tokens.into();
        Ok(())
    }
}

/// A weight `(V, D)` with rows behind it, up to `n` of them.
fn with_rows(weight: &Tensor, n: usize, given: Option<&Tensor>) -> Result<Tensor> {
    let (n_new, width) = (n - weight.dim(0)?, weight.dim(1)?);
    let rows = match given {
        Some(rows) => rows.clone(),
        None => mean_row(weight)?.broadcast_as((n_new, width))?,
    };
    let rows = rows.to_dtype(weight.dtype())?.to_device(weight.device())?;
    Ok(Tensor::cat(&[weight, &rows.contiguous()?], 0)?)
}

/// Mean of all rows, `(1, D)` in float64.
fn mean_row(weight: &Tensor) -> Result<Tensor> {
    let (n, width) = weight.dims2()?;
    let mut sum = Tensor::zeros((1, width), DType::F64, &Device::Cpu)?;
    for first in (0..n).step_by(ROWS) {
        let rows = weight.narrow(0, first, ROWS.min(n - first))?;
        let rows = rows.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        sum = (sum + rows.sum_keepdim(0)?)?;
    }
    Ok((sum / n as f64)?)
}
