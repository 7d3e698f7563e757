//! Weights in host memory, as products and gathers read them.

use super::{Packed, Weight};
use crate::Result;
use crate::gemm::Matrix;
use crate::host::on_host;
use crate::threads::for_each_row;
use candle_core::{Device, Layout, Result as CandleResult, Storage, Tensor};
use std::ops::{Deref, Range};

/// A packed matrix in host memory.
pub trait Blocks: Sync {
    /// Writes the numbers of some rows and columns in float32, row after row.
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]);

    /// Writes the dot products of each of `x`, a few rows of `K`, with some rows of the matrix, where
    /// there is a kernel that needs not unpack them. Says whether there is.
    fn products(&self, x: &[Vec<f32>], rows: Range<usize>, to: &mut [f32]) -> bool {
        let _ = (x, rows, to);
        false
    }
}

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
            Self::Dense(storage, layout) => Matrix::of(on_host(storage)?, layout),
            Self::Packed(blocks, sizes) => Ok(Matrix::packed(blocks.as_ref(), *sizes)),
        }
    }
}

/// Rows of a packed matrix in float32, `(ids, K)`, on its device.
pub(super) fn gather(packed: &dyn Packed, ids: &[u32], (n, k): (usize, usize)) -> Result<Tensor> {
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= n) {
        return Err(crate::Error::Value {
            op: "gather",
            what: "id",
            expected: format!("below {n}"),
            got: id.to_string(),
        });
    }
    if !matches!(packed.device(), Device::Cpu) {
        let ids = Tensor::new(ids, packed.device())?;
        return Ok(packed.dense()?.index_select(&ids, 0)?);
    }
    let blocks = packed.on_host()?;
    let mut rows = vec![0.0; ids.len() * k];
    for_each_row(&mut rows, k, |i, row| {
        let id = ids[i] as usize;
        blocks.read(id..id + 1, 0..k, row);
    });
    Ok(Tensor::from_vec(rows, (ids.len(), k), &Device::Cpu)?)
}
