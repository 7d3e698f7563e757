//! Products of storages on Apple GPUs, for operations that are made of several.
//!
//! What [`MpsMatMul`](crate::tensor::MpsMatMul) does for tensors, without a graph: engines are
//! chosen by measurements, and what no engine takes as it lies is copied. A LoRA layer is three of
//! them, with one temporary:
//!
//! ```text
//! h = gemm(x, A^T)                  (rows, r)
//! y = gemm_with_room(x, W^T)        (rows, outputs)
//! y = gemm_onto(y, h, B^T, s, 1)    y + s h B^T, in y's own memory
//! ```

mod calibrate;

use candle_core::{Layout, MetalStorage, Result, Shape};

use crate::tensor::{Product, Room};

pub use crate::apple::measurements::{policy, use_calibration};
pub use calibrate::{Effort, Progress, calibrate};

/// A storage and where the operand lies in it. A transposed operand is one with a transposed
/// layout.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    /// What holds it.
    pub storage: &'a MetalStorage,
    /// Its shape and strides.
    pub layout: &'a Layout,
}

/// `alpha * left * right + beta * addend`: `(.., M, K)` by `(.., K, N)`, with batch dimensions and
/// the addend broadcast; contiguous. With a `beta` of 0 the addend is not read.
///
/// # Errors
///
/// Those of [`MpsMatMul`](crate::tensor::MpsMatMul), as candle's.
pub fn gemm(
    left: Operand<'_>,
    right: Operand<'_>,
    addend: Option<Operand<'_>>,
    alpha: f64,
    beta: f64,
) -> Result<(MetalStorage, Shape)> {
    multiply(left, right, addend, (alpha, beta), Room::None)
}

/// [`gemm`] into a buffer that [`gemm_onto`] can add to without a copy, whatever the number of rows:
/// up to 63 rows longer than the result.
///
/// # Errors
///
/// The same.
pub fn gemm_with_room(
    left: Operand<'_>,
    right: Operand<'_>,
    addend: Option<Operand<'_>>,
    alpha: f64,
    beta: f64,
) -> Result<(MetalStorage, Shape)> {
    multiply(left, right, addend, (alpha, beta), Room::ForAddend)
}

/// `alpha * left * right + beta * result`, in the memory of `result`, which is contiguous and has
/// the shape of the product; returns it. Where its buffer is too short for a kernel that adds in
/// place, which one of [`gemm_with_room`] never is, what is returned is a copy.
///
/// # Errors
///
/// The same.
pub fn gemm_onto(
    result: MetalStorage,
    left: Operand<'_>,
    right: Operand<'_>,
    alpha: f64,
    beta: f64,
) -> Result<MetalStorage> {
    Ok(product((alpha, beta)).forward_onto(result, left.stored(), right.stored())?)
}

fn multiply(
    left: Operand<'_>,
    right: Operand<'_>,
    addend: Option<Operand<'_>>,
    factors: (f64, f64),
    room: Room,
) -> Result<(MetalStorage, Shape)> {
    let addend = addend.map(Operand::stored);
    let product = product(factors);
    Ok(product.forward(left.stored(), right.stored(), addend, room)?)
}

fn product((alpha, beta): (f64, f64)) -> Product {
    Product {
        transposed: [false, false],
        alpha,
        beta,
        engine: None,
    }
}

impl<'a> Operand<'a> {
    fn stored(self) -> (&'a MetalStorage, &'a Layout) {
        (self.storage, self.layout)
    }
}
