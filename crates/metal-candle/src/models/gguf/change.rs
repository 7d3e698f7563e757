use super::architecture::Architecture;
use crate::models::Result;
use candle_core::{DType, Tensor};

/// Change that llama.cpp's converter makes to a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Nothing,
    /// Rows of a pair side by side, in each of so many heads.
    Paired(usize),
    /// 1 added.
    PlusOne,
}

impl Architecture {
    /// What becomes of the tensor `name`, as Hugging Face calls it, of a model of so many heads.
    pub(super) fn change(&self, name: &str, queries: usize, keys: usize) -> Change {
        let layer = name.rsplit_once('.').map_or(name, |(path, _)| path);
        if self.paired_rows && layer.ends_with(".q_proj") {
            Change::Paired(queries)
        } else if self.paired_rows && layer.ends_with(".k_proj") {
            Change::Paired(keys)
        } else if self.plus_one && layer.ends_with("norm") {
            Change::PlusOne
        } else {
            Change::Nothing
        }
    }
}

impl Change {
    /// The tensor as the file has it.
    pub(super) fn apply(self, tensor: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Nothing => tensor.clone(),
            Self::PlusOne => (tensor.to_dtype(DType::F32)? + 1.0)?,
            Self::Paired(heads) => {
                let (rows, dims) = (tensor.dims()[0], tensor.dims());
                let halves = [&[heads, 2, rows / heads.max(1) / 2], &dims[1..]].concat();
                tensor
                    .reshape(halves)?
                    .transpose(1, 2)?
                    .contiguous()?
                    .reshape(dims)?
            }
        })
    }
}

/// Rows as Hugging Face has them, of heads of `width` rows: row `2 i + j` of a file is `width / 2 * j + i` there.
pub(super) fn unpaired<T: Copy>(values: &[T], width: usize, row: usize) -> Vec<T> {
    let heads = values.chunks_exact(width * row);
    let rows =
        heads.flat_map(|head| (0..2).flat_map(move |j| head.chunks_exact(row).skip(j).step_by(2)));
    rows.flatten().copied().collect()
}
