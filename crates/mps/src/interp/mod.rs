//! Plans replayed on host memory, byte for byte as the descriptors say.
//!
//! It is what MPS is documented to do, and what candle's kernels do, written down naively: sums run
//! in f64 in the order of the interior index and are rounded once, to the type of the result, or as
//! often as the kernel says. What MPS would abort on, and any access outside a buffer, is a
//! [`Fault`].

mod fault;
mod gemv;
mod matrix;
mod steel;

use std::collections::BTreeMap;

use candle_core::DType;

use crate::plan::{Binding, Plan, Slot, scalar};

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

    /// The element there.
    fn read(&self, at: Place) -> Result<f64, Fault> {
        let bytes = self.bytes(at.slot);
        let bytes = bytes.ok_or(Fault::NoBuffer { slot: at.slot })?;
        let element = bytes.get(at.start_bytes..at.end_bytes());
        let element = element.ok_or(at.outside(bytes.len()))?;
        Ok(scalar::decode(at.dtype, element))
    }

    /// Rounds `value` and stores it there.
    fn write(&mut self, at: Place, value: f64) -> Result<(), Fault> {
        let bytes = self.buffers.get_mut(&at.slot);
        let bytes = bytes.ok_or(Fault::NoBuffer { slot: at.slot })?;
        let len_bytes = bytes.len();
        let element = bytes.get_mut(at.start_bytes..at.end_bytes());
        let element = element.ok_or(at.outside(len_bytes))?;
        let rounded = scalar::encode(at.dtype, value);
        element.copy_from_slice(&rounded.ok_or(Fault::ResultType { dtype: at.dtype })?);
        Ok(())
    }
}

/// Place of an element, and of those behind it.
#[derive(Debug, Clone, Copy)]
struct Place {
    slot: Slot,
    dtype: DType,
    start_bytes: usize,
}

impl Place {
    /// What is bound at `index` for a kernel of candle.
    fn bound(bindings: &[Binding], index: usize, dtype: DType) -> Result<Self, Fault> {
        let binding = bindings.iter().find(|binding| binding.index == index);
        let binding = binding.ok_or(Fault::Unbound { index })?;
        Ok(Self {
            slot: binding.slot,
            dtype,
            start_bytes: binding.offset_bytes,
        })
    }

    /// The place of the element so many further on.
    fn skip(self, elements: usize) -> Self {
        let bytes = elements.saturating_mul(self.dtype.size_in_bytes());
        Self {
            start_bytes: self.start_bytes.saturating_add(bytes),
            ..self
        }
    }

    fn end_bytes(&self) -> usize {
        self.start_bytes.saturating_add(self.dtype.size_in_bytes())
    }

    fn outside(&self, len_bytes: usize) -> Fault {
        Fault::OutOfBuffer {
            slot: self.slot,
            start_bytes: self.start_bytes,
            end_bytes: self.end_bytes(),
            len_bytes,
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

/// Threadgroups are as large as the kernel counts on.
fn check_group(got: [usize; 3], expected: [usize; 3]) -> Result<(), Fault> {
    match got == expected {
        true => Ok(()),
        false => Err(Fault::Group { expected, got }),
    }
}
