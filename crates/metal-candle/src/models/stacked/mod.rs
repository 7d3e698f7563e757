//! Experts that lie behind each other in one tensor, as mlx-lm and transformers 5 have them: which part is which layer.
//!
//! ```text
//! mlp.switch_mlp.up_proj.weight  (E, I, D)   mlp.experts.3.up_proj.weight: the fourth of E parts; scales and biases alike
//! mlp.experts.gate_up_proj       (E, 2I, D)  mlp.experts.3.gate_proj.weight, then up_proj
//! mlp.experts.down_proj          (E, D, I)   mlp.experts.3.down_proj.weight
//! ```
//!
//! Those of gpt-oss are in `columns`.

mod columns;
mod rows;

use crate::experts::{self, Stacks};
use safetensors::tensor::TensorInfo;

/// A tensor as a file has it: the numbers of a range of bytes, all of them or some.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its dtype and shape, and the range.
    pub(super) info: TensorInfo,
    pub(super) picks: Option<Picks>,
}

impl From<TensorInfo> for Stored {
    fn from(info: TensorInfo) -> Self {
        Self { info, picks: None }
    }
}

/// Places of a matrix's numbers among those of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picks {
    pub(super) first: usize,
    /// Distance of a number from that of the row before.
    pub(super) row: usize,
    /// Distance of a number from that of the column before.
    pub(super) column: usize,
}

impl Picks {
    /// Numbers of a tensor of this shape, whose columns are those of all dimensions but the first.
    pub(super) fn of<T: Copy>(&self, all: &[T], shape: &[usize]) -> Vec<T> {
        let n_columns: usize = shape.iter().skip(1).product();
        let starts = (0..shape.first().copied().unwrap_or(0)).map(|r| self.first + r * self.row);
        let mut picked = Vec::with_capacity(shape.iter().product());
        for start in starts {
            let columns = (0..n_columns).map(|c| all[start + c * self.column]);
            picked.extend(columns);
        }
        picked
    }
}

/// Tensors of single experts that the tensor `name` holds, with their places in its file; none where it holds no experts.
pub(super) fn parts(name: &str, info: &TensorInfo, stacks: Stacks) -> Vec<(String, Stored)> {
    match stacks {
        Stacks::Rows => rows::parts(name, info),
        Stacks::Columns => columns::parts(name, info),
    }
}

/// Path of a mixture, a layer of it, and the end of a name that mlx-lm has for all experts.
fn of_mlx(name: &str) -> Option<(&str, &str, &str)> {
    let (path, end) = name.rsplit_once('.')?;
    let (mixture, layer) = experts::of_switch(path)?;
    Some((mixture, layer, end))
}
