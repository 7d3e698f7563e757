use crate::models::Result;
use candle_core::{DType, Tensor};

/// Factor that embeddings are multiplied by.
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
    /// The number, for an embedding that is multiplied in this dtype.
    pub(in crate::models) fn of(self, dtype: DType) -> Result<f64> {
        match self {
            Self::One => Ok(1.0),
            Self::Exact(scale) => Ok(scale),
            Self::Rounded(scale) => Ok(rounded(scale, dtype)?),
        }
    }
}

fn rounded(number: f64, dtype: DType) -> candle_core::Result<f64> {
    let number = Tensor::new(number, &candle_core::Device::Cpu)?.to_dtype(DType::F32)?;
    number
        .to_dtype(dtype)?
        .to_dtype(DType::F64)?
        .to_scalar::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gemma in bfloat16 multiplies by 55.5.
    #[test]
    fn a_scale_is_rounded_to_the_dtype_of_the_embedding() {
        let scale = EmbeddingScale::Rounded(3072f64.sqrt());
        for (dtype, expected) in [(DType::F32, f64::from(3072f32.sqrt())), (DType::BF16, 55.5)] {
            assert_eq!(scale.of(dtype).unwrap(), expected);
        }
    }
}
