//! Plans replayed on host memory, byte for byte as the descriptors say.
//!
//! It is what MPS is documented to do, and what candle's kernels do, written down naively: sums run
//! in f64 in the order of the interior index and are rounded once, to the type of the result, or as
//! often as the kernel says. What MPS would abort on, and any access outside a buffer, is a
//! [`Fault`].

mod fault;
mod gemv;
mod matmul;
mod ndarray;
mod softmax;
mod steel;
mod window;

use std::collections::BTreeMap;

use crate::plan::{Binding, DataType, Plan, Slot, scalar};

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

    /// The buffer of `slot`, taken out.
    pub fn remove(&mut self, slot: Slot) -> Option<Vec<u8>> {
        self.buffers.remove(&slot)
    }

    /// Runs a plan of any engine.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; what came before the fault has been carried out.
    pub fn run(&mut self, plan: &Plan) -> Result<(), Fault> {
        match plan {
            Plan::Steel(plan) => self.multiply_steel(plan),
            Plan::Gemv(plan) => self.multiply_gemv(plan),
            Plan::NdArray(plan) => self.multiply_ndarray(plan),
            Plan::Matrix(plan) => self.multiply(plan),
        }
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

/// Place of one element.
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

/// A buffer as a kernel of candle sees it: elements from where it is bound.
#[derive(Debug, Clone, Copy)]
struct Array {
    slot: Slot,
    dtype: DataType,
    offset_bytes: usize,
}

impl Array {
    /// What is bound at `index`.
    fn bound(bindings: &[Binding], index: usize, dtype: DataType) -> Result<Self, Fault> {
        let binding = bindings.iter().find(|binding| binding.index == index);
        let binding = binding.ok_or(Fault::Unbound { index })?;
        Ok(Self {
            slot: binding.slot,
            dtype,
            offset_bytes: binding.offset_bytes,
        })
    }

    /// This place from `elements` further on.
    fn skip(self, elements: usize) -> Self {
        let offset_bytes = self.at(elements).start_bytes;
        Self {
            offset_bytes,
            ..self
        }
    }

    fn at(self, element: usize) -> Place {
        let bytes = element.saturating_mul(self.dtype.size_in_bytes());
        Place {
            slot: self.slot,
            dtype: self.dtype,
            start_bytes: self.offset_bytes.saturating_add(bytes),
        }
    }
}

/// Elements to the `flat`th matrix of a batch, whose last dimension is the fastest.
fn batch_offset(mut flat: usize, shape: &[i32], strides: &[u64]) -> usize {
    let axes = shape.iter().zip(strides).rev();
    axes.fold(0usize, |offset, (&len, &stride)| {
        let (len, stride) = (len.max(1) as usize, stride as usize);
        let step = (flat % len).saturating_mul(stride);
        flat /= len;
        offset.saturating_add(step)
    })
}

/// An `int` argument that counts something.
fn size(name: &'static str, value: i32) -> Result<usize, Fault> {
    let value = i64::from(value);
    usize::try_from(value).map_err(|_| Fault::Argument { name, value })
}
