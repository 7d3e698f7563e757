use crate::models::Result;
use candle_core::{DType, Tensor};
use metal_candle_kernels::{Weight, tape};

/// Vectors of the tokens, `(V, D)`: the embedding, and the output head.
#[derive(Debug)]
pub struct Table {
    pub(in crate::models) path: String,
    pub(in crate::models) weight: Weight,
}

/// What embeddings are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::models) enum EmbeddingScale {
    /// Nothing.
    One,
    /// A number.
    Exact(f64),
    /// A number, rounded to the dtype of the embedding.
    Rounded(f64),
}

impl EmbeddingScale {
    /// The number, for an embedding of this weight.
    pub(in crate::models) fn of(self, weight: &Weight) -> Result<f64> {
        match self {
            Self::One => Ok(1.0),
            Self::Exact(scale) => Ok(scale),
            Self::Rounded(scale) => Ok(rounded(scale, dtype(weight))?),
        }
    }
}

/// Of a packed weight, the dtype of its scales: what it was before.
fn dtype(weight: &Weight) -> DType {
    let mut dtypes = weight.tensors().into_iter().map(|(_, t)| t.dtype());
    dtypes.find(|dtype| dtype.is_float()).unwrap_or(DType::F32)
}

fn rounded(number: f64, dtype: DType) -> candle_core::Result<f64> {
    let number = Tensor::new(number, &candle_core::Device::Cpu)?.to_dtype(DType::F32)?;
    number
        .to_dtype(dtype)?
        .to_dtype(DType::F64)?
        .to_scalar::<f64>()
}

/// `(B, T)` u32 -> `(B, T, D)` float32: activations are float32 whatever the weights are.
pub(in crate::models) fn embed(table: &Table, tokens: &Tensor, scale: f64) -> Result<Tensor> {
    let embedded = table.weight.gather(tokens)?;
    match scale == 1.0 {
        true => Ok(embedded),
        false => Ok(tape::scale(&embedded, scale)?),
    }
}
