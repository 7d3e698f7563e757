//! Memory of tensors on the host, which candle lends inside of an operation on them.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor};
use std::cell::Cell;

/// Calls `f` with the numbers of `t`, which is contiguous float32 on the host.
///
/// # Errors
/// When it is not, and those of `f`.
pub(super) fn numbers(t: &Tensor, f: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    lend(t, |storage, start, end| match storage {
        CpuStorage::F32(data) => f(&mut data[start..end]),
        _ => candle_core::bail!("expected float32, got {:?}", t.dtype()),
    })
}

/// Calls `f` with the bytes of `t`, which is contiguous on the host.
///
/// # Errors
/// When it is not, and those of `f`.
pub(super) fn codes(t: &Tensor, f: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
    lend(t, |storage, start, end| match storage {
        CpuStorage::U8(data) => f(&mut data[start..end]),
        _ => candle_core::bail!("expected bytes, got {:?}", t.dtype()),
    })
}

/// Calls `f` with the numbers of `t`, float32 on the host, which stay as they are.
///
/// # Errors
/// When it is something else, and those of `f`.
pub(super) fn read(t: &Tensor, f: impl FnOnce(&[f32]) -> Result<()>) -> Result<()> {
    let t = t.contiguous()?;
    let (storage, layout) = t.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => f(&storage.as_slice()?[start..end]),
        _ => candle_core::bail!("expected numbers on the host"),
    }
}

fn lend(t: &Tensor, f: impl FnOnce(&mut CpuStorage, usize, usize) -> Result<()>) -> Result<()> {
    t.inplace_op1(&Lend(Cell::new(Some(f))))
}

struct Lend<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut CpuStorage, usize, usize) -> Result<()>> InplaceOp1 for Lend<F> {
    fn name(&self) -> &'static str {
        "lend"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (layout.contiguous_offsets(), self.0.take()) {
            (Some((start, end)), Some(f)) => f(storage, start, end),
            _ => candle_core::bail!("what is changed in place must be contiguous"),
        }
    }
}
