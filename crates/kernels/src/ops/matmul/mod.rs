//! `C' = alpha * op(A) op(B) + beta * C`, batched, with `op` an optional transpose (BLAS gemm).
//!
//! `A` is `(.., M, K)`, `B` is `(.., K, N)` after their transposes; batch dimensions broadcast.
//! `C` broadcasts to `(.., M, N)`, so that a bias of shape `(N)` is a valid `C`.
//! f32, f16, bf16 and f64 in storage; operands may differ in dtype, the result has the dtype of
//! `A`. Sums are accumulated in float32 (float64 for f64 operands).
//!
//! Backward: `dA = alpha dC' op(B)^T`, `dB = alpha op(A)^T dC'`, `dC = beta dC'`, each summed over
//! the dimensions that were broadcast, and only for operands that are tracked. Nothing is kept but
//! the operands.

mod batch;
#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod product;
pub(crate) mod reference;

use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::tape;
use crate::graph::{Gradients, Kernel, Operation};
use crate::storage::sum_to_shape;
use crate::{Error, Result};
use candle_core::Tensor;

/// Transposes and factors of [`matmul_with`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatMulOptions {
    /// `A` is stored as `(.., K, M)`.
    pub transpose_a: bool,
    /// `B` is stored as `(.., N, K)`.
    pub transpose_b: bool,
    /// Factor of the product.
    pub alpha: f64,
    /// Factor of `C`; with 0, `C` is never read.
    pub beta: f64,
}

impl Default for MatMulOptions {
    fn default() -> Self {
        Self {
            transpose_a: false,
            transpose_b: false,
            alpha: 1.0,
            beta: 1.0,
        }
    }
}

/// `A B` for `A` of shape `(.., M, K)` and `B` of shape `(.., K, N)`.
///
/// # Errors
/// When the inner sizes differ or the batch dimensions do not broadcast.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    matmul_with(a, b, None, MatMulOptions::default())
}

/// `x W^T + bias` for `x` of shape `(.., K)`, a dense `W` of shape `(N, K)` and `bias` of shape `(N)`.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linear_by(matmul_with, x, weight, bias)
}

type MatMulWith = fn(&Tensor, &Tensor, Option<&Tensor>, MatMulOptions) -> Result<Tensor>;

fn linear_by(
    product: MatMulWith,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let options = MatMulOptions {
        transpose_b: true,
        ..MatMulOptions::default()
    };
    // (.., K) -> (M, K): one product however many leading dimensions there are.
    let (lead, k) = split_last(x)?;
    let rows = tape::reshape(x, ((), k))?;
    let y = product(&rows, weight, bias, options)?;
    let n = y.dim(1)?;
    tape::reshape(&y, [lead, vec![n]].concat())
}

fn split_last(x: &Tensor) -> Result<(Vec<usize>, usize)> {
    match x.dims() {
        [lead @ .., k] => Ok((lead.to_vec(), *k)),
        [] => Err(Error::shape("linear", "x", "(.., K)", x)),
    }
}

/// `alpha * op(A) op(B) + beta * C`.
///
/// # Errors
/// When an operand has fewer than two dimensions, the inner sizes differ, or batch dimensions or
/// `C` do not broadcast.
pub fn matmul_with(
    a: &Tensor,
    b: &Tensor,
    c: Option<&Tensor>,
    options: MatMulOptions,
) -> Result<Tensor> {
    check(a, b, options)?;
    match c {
        Some(c) if options.beta != 0.0 => computed([a, b, c], options),
        _ => computed([a, b], options),
    }
}

/// Kernels of two operands, or of three.
const fn devices<const N: usize>() -> Devices<KernelFn<MatMul, N>> {
    Devices {
        cpu: Some(cpu::Cpu::run),
        metal: metal!(metal::Metal::run),
        cuda: None,
    }
}

fn computed<const N: usize>(operands: [&Tensor; N], options: MatMulOptions) -> Result<Tensor> {
    let (a, others) = (operands[0], operands[1..].iter().copied());
    match devices().kernel("matmul", a, others) {
        Some(run) => run(MatMul(options), operands).map(|[y]| y),
        None => reference::forward(a, operands[1], operands.get(2).copied(), options),
    }
}

/// `A`, `B` and, where there is one, `C`.
struct MatMul(MatMulOptions);

impl Operation for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }
}

impl MatMul {
    /// The gradients of all operands: of `A` and `B` as they are, and that of `C`.
    fn gradients<const N: usize>(
        &self,
        operands: &[Tensor; N],
        [da, db]: Gradients<2>,
        dy: &Tensor,
    ) -> Result<Gradients<N>> {
        let dc = match operands.get(2) {
            Some(c) if c.track_op() => Some((sum_to_shape(dy, c)? * self.0.beta)?),
            _ => None,
        };
        let mut all = [da, db, dc].into_iter();
        Ok(std::array::from_fn(|_| all.next().flatten()))
    }
}

fn check(a: &Tensor, b: &Tensor, options: MatMulOptions) -> Result<()> {
    let (_, k) = rows_columns(a, "A", options.transpose_a)?;
    let (k_b, n) = rows_columns(b, "B", options.transpose_b)?;
    if k == k_b {
        return Ok(());
    }
    let expected = match options.transpose_b {
        false => format!("(.., {k}, {n})"),
        true => format!("(.., {n}, {k})"),
    };
    Err(Error::shape("matmul", "B", expected, b))
}

fn rows_columns(t: &Tensor, what: &'static str, transposed: bool) -> Result<(usize, usize)> {
    match *t.dims() {
        [.., rows, columns] if transposed => Ok((columns, rows)),
        [.., rows, columns] => Ok((rows, columns)),
        _ => Err(Error::shape("matmul", what, "(.., rows, columns)", t)),
    }
}
