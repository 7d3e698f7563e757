use candle_core::{Device, Error, Tensor};
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::cell::RefCell;

/// A tensor in a file that is written. candle's own view panics where a GPU fails to give it back;
/// here the first failure is kept for the end, and zeros stand for the rest.
pub(super) struct OnHost<'a> {
    pub(super) tensor: Tensor,
    pub(super) failure: &'a RefCell<Option<Error>>,
}

impl View for OnHost<'_> {
    fn dtype(&self) -> Dtype {
        View::dtype(&self.tensor)
    }

    fn shape(&self) -> &[usize] {
        self.tensor.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.tensor.to_device(&Device::Cpu) {
            Ok(host) => View::data(&host).into_owned(),
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                vec![0; self.data_len()]
            }
        })
    }

    fn data_len(&self) -> usize {
        self.tensor.elem_count() * self.tensor.dtype().size_in_bytes()
    }
}
