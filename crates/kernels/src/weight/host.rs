//! Weights in host memory, as products and gathers read them.

use super::{Packed, Weight};
use crate::Result;
use crate::host::{matrix, on_host};
use candle_core::{Device, Layout, Result as CandleResult, Storage, Tensor};
use metal_candle_cpu::gemm::{Blocks, Matrix};
use metal_candle_cpu::threads::for_each_row;
use std::ops::Deref;

/// The storage of a tensor for as long as it is read.
pub(super) type Guard<'a> = Box<dyn Deref<Target = Storage> + Sync + 'a>;

/// A weight for as long as it is read.
pub(crate) enum Host<'a> {
    Dense(Guard<'a>, &'a Layout),
    Packed(Box<dyn Blocks + 'a>, (usize, usize)),
}

impl<'a> Host<'a> {
    pub(super) fn new(weight: &'a Weight) -> CandleResult<Self> {
        Ok(match weight {
            Weight::Dense(tensor) => {
                let (storage, layout) = tensor.storage_and_layout();
                Self::Dense(Box::new(storage), layout)
            }
            Weight::Packed(packed) => Self::Packed(packed.on_host()?, packed.dims()),
        })
    }

    /// `(N, K)`.
    pub(crate) fn matrix(&self) -> CandleResult<Matrix<'_>> {
        match self {
            Self::Dense(storage, layout) => matrix(on_host(storage)?, layout),
            Self::Packed(blocks, sizes) => Ok(Matrix::packed(blocks.as_ref(), *sizes)),
        }
    }
}

/// Rows of a packed matrix in float32, `(ids, K)`.
pub(super) fn gather(packed: &dyn Packed, ids: &[u32], (n, k): (usize, usize)) -> Result<Tensor> {
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= n) {
        return Err(crate::Error::Value {
            op: "gather",
            what: "id",
            expected: format!("below {n}"),
            got: id.to_string(),
        });
    }
    let blocks = packed.on_host()?;
    let mut rows = vec![0.0; ids.len() * k];
    for_each_row(&mut rows, k, |i, row| {
        let id = ids[i] as usize;
        blocks.read(id..id + 1, 0..k, row);
    });
    Ok(Tensor::from_vec(rows, (ids.len(), k), &Device::Cpu)?)
}
