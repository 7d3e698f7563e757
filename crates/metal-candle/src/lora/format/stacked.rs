//! Factors of all experts in one tensor, as mlx-lm has them: `A` `(E, r, in)` and `B` `(E, out, r)` of a layer of all experts.
//! Each expert's are taken apart when a file is opened, and laid as other factors in the file are: `(in, r)` and `(r, out)`.

use crate::experts;
use crate::lora::shortened;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Experts of a tensor at most: what comes from a file must not ask for memory without bound.
const MOST_EXPERTS: usize = 4096;

/// A tensor of one expert.
struct Part {
    name: String,
    dtype: Dtype,
    shape: [usize; 2],
    bytes: Vec<u8>,
}

/// The file `bytes`, with a tensor for each expert; `None` where it has no experts together.
///
/// # Errors
/// When it is no file of safetensors, or an expert is in it twice.
pub(super) fn apart(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let all = SafeTensors::deserialize(bytes).map_err(told)?;
    let (stacks, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|(name, view)| is_stack(name, view));
    if stacks.is_empty() {
        return Ok(None);
    }
    let parts: Vec<Part> = stacks
        .iter()
        .flat_map(|(name, view)| parts(name, view))
        .collect();
    let mut views: Vec<(&str, TensorView<'_>)> = others;
    for part in &parts {
        if all.tensor(&part.name).is_ok() {
            let name = shortened(&part.name);
            return Err(format!("{name} is there alone and among all experts"));
        }
        let view = TensorView::new(part.dtype, part.shape.to_vec(), &part.bytes).map_err(told)?;
        views.push((&part.name, view));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(told)?;
    let serialized = safetensors::serialize(views, header.metadata().clone());
    serialized.map(Some).map_err(told)
}

fn told(error: safetensors::SafeTensorError) -> String {
    error.to_string()
}

/// Path of a mixture, a layer of all its experts, and the end of the name of a tensor.
fn of_all(name: &str) -> Option<(&str, &str, &str)> {
    let (path, end) = name.rsplit_once('.')?;
    let (mixture, layer) = experts::of_switch(path)?;
    Some((mixture, layer, end))
}

fn is_stack(name: &str, view: &TensorView<'_>) -> bool {
    let is_whole = view.dtype().bitsize().is_multiple_of(8);
    of_all(name).is_some() && is_whole && matches!(view.shape(), [1..=MOST_EXPERTS, _, _])
}

fn parts(name: &str, view: &TensorView<'_>) -> Vec<Part> {
    let (&[n_experts, rows, columns], Some((mixture, layer, end))) = (view.shape(), of_all(name))
    else {
        return vec![];
    };
    let size = view.dtype().bitsize() / 8;
    let part = |expert: usize| {
        let bytes = &view.data()[expert * rows * columns * size..][..rows * columns * size];
        Part {
            name: format!("{}.{end}", experts::path(mixture, expert, layer)),
            dtype: view.dtype(),
            shape: [columns, rows],
            bytes: transposed(bytes, (rows, columns), size),
        }
    };
    (0..n_experts).map(part).collect()
}

/// A matrix of numbers of `size` bytes across.
fn transposed(bytes: &[u8], (rows, columns): (usize, usize), size: usize) -> Vec<u8> {
    let places = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
    let numbers = places.flat_map(|place| &bytes[place * size..][..size]);
    numbers.copied().collect()
}
