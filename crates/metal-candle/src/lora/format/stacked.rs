//! Factors of all experts in one tensor: each expert's are taken apart when a file is opened.

use crate::experts::{self, MOST_EXPERTS};
use crate::lora::shortened;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A tensor of one expert.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: [usize; 2],
    pub(super) bytes: Vec<u8>,
}

/// Tensors of single experts that a tensor holds; none where it holds none.
pub(super) type Parts<'a> = dyn Fn(&str, &TensorView<'_>) -> Vec<Part> + 'a;

/// The file `bytes` with the `parts` of its tensors in their places; `None` where no tensor has any.
///
/// # Errors
/// When it is no file of safetensors, or an expert is in it twice.
pub(super) fn apart(bytes: &[u8], parts: &Parts<'_>) -> Result<Option<Vec<u8>>, String> {
    let all = SafeTensors::deserialize(bytes).map_err(told)?;
    let (mut found, mut views) = (vec![], vec![]);
    for (name, view) in all.iter() {
        match parts(name, &view) {
            none if none.is_empty() => views.push((name, view)),
            some => found.extend(some),
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    for part in &found {
        if all.tensor(&part.name).is_ok() {
            let name = shortened(&part.name);
            return Err(format!("{name} is there alone and among all experts"));
        }
        let view = TensorView::new(part.dtype, part.shape.to_vec(), &part.bytes);
        views.push((&part.name, view.map_err(told)?));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(told)?;
    let serialized = safetensors::serialize(views, header.metadata().clone());
    serialized.map(Some).map_err(told)
}

fn told(error: safetensors::SafeTensorError) -> String {
    error.to_string()
}

/// Bytes of a number, where it has whole ones.
pub(super) fn size_of(dtype: Dtype) -> Option<usize> {
    let bits = dtype.bitsize();
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// Factors of mlx-lm's layers of all experts, `A` `(E, r, in)` and `B` `(E, out, r)`; those of one lie across, as in its other
/// layers.
pub(super) fn of_switch(name: &str, view: &TensorView<'_>) -> Vec<Part> {
    let named = name.rsplit_once('.');
    let named = named.and_then(|(path, end)| Some((experts::of_switch(path)?, end)));
    let (Some(((mixture, layer), end)), &[n_experts @ 1..=MOST_EXPERTS, rows, columns], Some(size)) =
        (named, view.shape(), size_of(view.dtype()))
    else {
        return vec![];
    };
    let bytes = rows * columns * size;
    let part = |expert: usize| Part {
        name: format!("{}.{end}", experts::path(mixture, expert, layer)),
        dtype: view.dtype(),
        shape: [columns, rows],
        bytes: transposed(
            &view.data()[expert * bytes..][..bytes],
            (rows, columns),
            size,
        ),
    };
    (0..n_experts).map(part).collect()
}

/// A matrix of numbers of `size` bytes across.
fn transposed(bytes: &[u8], (rows, columns): (usize, usize), size: usize) -> Vec<u8> {
    let places = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
    let numbers = places.flat_map(|place| &bytes[place * size..][..size]);
    numbers.copied().collect()
}
