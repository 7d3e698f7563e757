//! Plans replayed on host memory, byte for byte as the descriptors say.
//!
//! It is what MPS is documented to do, written down naively: sums run in f64 in the order of the
//! interior index and are rounded once, to the type of the result. What MPS would abort on, and
//! any access outside a buffer, is a [`Fault`].

mod fault;
mod matmul;
mod ndarray;
pub mod scalar;
mod softmax;
mod window;

use std::collections::BTreeMap;

use crate::plan::{DataType, Slot};

pub use fault::Fault;

/// One little-endian buffer per operand.
#[derive(Debug, Clone, Default)]
pub struct Host {
    buffers: BTreeMap<Slot, Vec<u8>>,
}

impl Host {
    /// Makes `bytes` the buffer of `slot`.
    pub fn insert(&mut self, slot: Slot, bytes: Vec<u8>) {
        self.buffers.insert(slot, bytes);
    }

    /// The buffer of `slot`, if it has one.
    pub fn bytes(&self, slot: Slot) -> Option<&[u8]> {
        self.buffers.get(&slot).map(Vec::as_slice)
    }

    /// Length of a buffer.
    fn len(&self, slot: Slot) -> Result<usize, Fault> {
        self.bytes(slot)
            .map(<[u8]>::len)
            .ok_or(Fault::NoBuffer { slot })
    }

    /// The element at `at.start_bytes`.
    fn read(&self, at: Place) -> Result<f64, Fault> {
        let bytes = self
            .bytes(at.slot)
            .ok_or(Fault::NoBuffer { slot: at.slot })?;
        let element = bytes.get(at.start_bytes..at.end_bytes());
        Ok(scalar::decode(
            at.dtype,
            element.ok_or(at.outside(bytes.len()))?,
        ))
    }

    /// Rounds `value` and stores it at `at.start_bytes`.
    fn write(&mut self, at: Place, value: f64) -> Result<(), Fault> {
        let bytes = self
            .buffers
            .get_mut(&at.slot)
            .ok_or(Fault::NoBuffer { slot: at.slot })?;
        let len_bytes = bytes.len();
        let element = bytes.get_mut(at.start_bytes..at.end_bytes());
        let element = element.ok_or(at.outside(len_bytes))?;
        let rounded =
            scalar::encode(at.dtype, value).ok_or(Fault::ResultType { dtype: at.dtype })?;
        element.copy_from_slice(&rounded);
        Ok(())
    }
}

/// Where one element is.
#[derive(Debug, Clone, Copy)]
struct Place {
    slot: Slot,
    dtype: DataType,
    start_bytes: usize,
}

impl Place {
    fn end_bytes(&self) -> usize {
        self.start_bytes.saturating_add(self.dtype.size_in_bytes())
    }

    fn outside(&self, len_bytes: usize) -> Fault {
        let (slot, start_bytes, end_bytes) = (self.slot, self.start_bytes, self.end_bytes());
        Fault::OutOfBuffer {
            slot,
            start_bytes,
            end_bytes,
            len_bytes,
        }
    }
}
