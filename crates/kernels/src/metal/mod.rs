//! Kernels in the Metal Shading Language, launched in candle's own command encoder.
//!
//! An operation's kernels are one file of source (`ops/<op>/<op>.metal`) over the common
//! `prelude.metal`. It is compiled when it is first used, once for every choice of dtypes, which
//! are names that the source leaves open. candle orders the launches: what they read is bound as an
//! input, what they write as an output, and what is changed in place as an output only.
//!
//! Math is compiled as IEEE asks, not as "fast": a row of -inf is NaN here as on the CPU.

mod dropout;
mod launch;
mod library;
mod matrix;
mod product;
mod rows;
mod strided;
mod tensor;
mod transfer;

pub(crate) use dropout::dropped;
pub(crate) use launch::{Launch, Output, SIMD};
#[cfg(feature = "testkit")]
pub use library::compile_msl;
pub(crate) use library::{Source, release};
pub(crate) use matrix::DeviceMatrix;
pub(crate) use product::{
    FewRows, Kernels, Layer, MatrixProduct, Onto, Room, Side, Update, add_product, is_by_mps, onto,
    product, product_by_mps, product_with_room, ranges,
};
pub(crate) use rows::{Rows, RowsLayout};
pub(crate) use strided::Strided;
pub(crate) use tensor::DeviceTensor;
pub(crate) use transfer::{download, upload};

use candle_core::{MetalDevice, MetalStorage, Result, Storage, Tensor};

/// Elements of a row that are read and written at once.
pub(crate) const FOUR: usize = 4;

/// Fours of a thread that needs no other, as in `fours.metal`.
pub(crate) const FOURS_A_THREAD: usize = 2;

/// The device of a tensor that lies on an Apple GPU.
pub(crate) fn device_of(t: &Tensor) -> Result<&MetalDevice> {
    t.device().as_metal_device()
}

pub(crate) fn on_metal(storage: &Storage) -> Result<&MetalStorage> {
    match storage {
        Storage::Metal(storage) => Ok(storage),
        _ => candle_core::bail!("the Metal kernel was given a tensor of another device"),
    }
}
