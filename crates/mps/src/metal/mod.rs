//! Products and softmax of storages on Apple GPUs, for operations that are made of several.
//!
//! What [`MpsMatMul`](crate::tensor::MpsMatMul) does for tensors, without a graph: engines are
//! chosen by measurements, and what no engine takes as it lies is copied. A LoRA layer is three of
//! them, with one temporary:
//!
//! ```text
//! h = gemm(x, A^T)                            (rows, r)
//! y = gemm(x, W^T) with room for an addend    (rows, outputs)
//! y = gemm_onto(y, h, B^T, s, 1)              y + s h B^T, in y's own memory
//! ```

mod calibrate;
mod choice;
mod softmax;

use candle_core::{Layout, MetalStorage, Result, Shape};

use crate::tensor::Product;

pub use crate::apple::measurements::{policy, use_calibration};
pub use crate::tensor::Room;
pub use calibrate::{Effort, Own, OwnProduct, OwnSoftmax, Progress, calibrate};
pub use choice::{is_by_mps, widened};
pub use softmax::softmax;

/// A storage and where the operand lies in it. A transposed operand is one with a transposed
/// layout.
pub type Operand<'a> = (&'a MetalStorage, &'a Layout);

/// `alpha * left * right + beta * addend`: `(.., M, K)` by `(.., K, N)`, with batch dimensions and
/// the addend broadcast; contiguous. With a `beta` of 0 the addend is not read.
///
/// With [`Room::ForAddend`] the buffer is up to 63 rows longer than the result, so that [`gemm_onto`]
/// can add to it without a copy, whatever the number of rows.
///
/// # Errors
///
/// Those of [`MpsMatMul`](crate::tensor::MpsMatMul), as candle's.
pub fn gemm(
    left: Operand<'_>,
    right: Operand<'_>,
    addend: Option<Operand<'_>>,
    [alpha, beta]: [f64; 2],
    room: Room,
) -> Result<(MetalStorage, Shape)> {
    Ok(product(alpha, beta).forward(left, right, addend, room)?)
}

/// `alpha * left * right + beta * result`, in the memory of `result`, which is contiguous and has
/// the shape of the product; returns it. Where its buffer is too short for a kernel that adds in
/// place, which one with [`Room::ForAddend`] never is, what is returned is a copy.
///
/// # Errors
///
/// As [`gemm`].
pub fn gemm_onto(
    result: MetalStorage,
    left: Operand<'_>,
    right: Operand<'_>,
    [alpha, beta]: [f64; 2],
) -> Result<MetalStorage> {
    Ok(product(alpha, beta).forward_onto(result, left, right)?)
}

fn product(alpha: f64, beta: f64) -> Product {
    Product {
        transposed: [false, false],
        alpha,
        beta,
        engine: None,
    }
}
