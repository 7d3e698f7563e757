//! Weights in host memory, as products and gathers read them.

use super::{Packed, Weight};
use crate::Result;
use crate::host::{floats, matrix, on_host};
use candle_core::{CpuStorage, Device, Layout, Result as CandleResult, Storage, Tensor};
use metal_candle_cpu::floats::Floats;
use metal_candle_cpu::gemm::{Blocks, Matrix};
use metal_candle_cpu::threads::for_each_row;
use std::ops::{Deref, Range};

/// The storage of a tensor for as long as it is read.
type Guard<'a> = Box<dyn Deref<Target = Storage> + Sync + 'a>;

/// A contiguous tensor of a packed weight for as long as it is read.
pub(super) struct Held<'a> {
    storage: Guard<'a>,
    range: Range<usize>,
}

impl<'a> Held<'a> {
    /// # Errors
    /// When the tensor is on another device, or not contiguous.
    pub(super) fn new(tensor: &'a Tensor) -> CandleResult<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        on_host(&storage)?;
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(Self {
                storage: Box::new(storage),
                range: start..end,
            }),
            None => candle_core::bail!("a part of a packed weight is not contiguous"),
        }
    }

    /// The numbers of a u8 tensor; of another one, none.
    pub(super) fn bytes(&self) -> &[u8] {
        match &**self.storage {
            Storage::Cpu(CpuStorage::U8(bytes)) => &bytes[self.range.clone()],
            _ => &[],
        }
    }

    /// The numbers of a u32 tensor; of another one, none.
    pub(super) fn words(&self) -> &[u32] {
        match &**self.storage {
            Storage::Cpu(CpuStorage::U32(words)) => &words[self.range.clone()],
            _ => &[],
        }
    }

    /// The numbers of a float32 tensor; of another one, none.
    pub(super) fn f32s(&self) -> &[f32] {
        match &**self.storage {
            Storage::Cpu(CpuStorage::F32(numbers)) => &numbers[self.range.clone()],
            _ => &[],
        }
    }

    /// The numbers of a tensor of any float dtype but f64; of another one, none.
    pub(super) fn floats(&self) -> Floats<'_> {
        let all = on_host(&self.storage).and_then(floats);
        match all {
            Ok(all) => all.part(self.range.clone()),
            Err(_) => Floats::F32(&[]),
        }
    }
}

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
