//! One body for every device: candle's storages behind their common trait.

use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, Result, Tensor};

/// What a generic function makes of two storages of one device, in a storage of it.
macro_rules! on_any_device {
    ($first:expr, $second:expr, $function:expr) => {{
        use candle_core::Storage::{Cpu, Cuda, Metal};
        match ($first, $second) {
            (Cpu(first), Cpu(second)) => $function(first, second).map(Cpu),
            (Cuda(first), Cuda(second)) => $function(first, second).map(Cuda),
            (Metal(first), Metal(second)) => $function(first, second).map(Metal),
            _ => Err(candle_core::Error::msg("operands on different devices").bt()),
        }
    }};
}
pub(crate) use on_any_device;

/// The dtype that sums are accumulated in.
pub(crate) fn accumulator(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// A storage that is either borrowed as it is or was converted.
pub(crate) enum Widened<'a, S> {
    Borrowed(&'a S, Layout),
    Owned(S, Layout),
}

impl<'a, S: BackendStorage> Widened<'a, S> {
    /// `storage` in `dtype`: without a copy when it has that dtype already.
    pub(crate) fn new(storage: &'a S, layout: &Layout, dtype: DType) -> Result<Self> {
        if storage.dtype() == dtype {
            return Ok(Self::Borrowed(storage, layout.clone()));
        }
        let wide = storage.to_dtype(layout, dtype)?;
        Ok(Self::Owned(wide, Layout::contiguous(layout.shape())))
    }

    pub(crate) fn get(&self) -> (&S, &Layout) {
        match self {
            Self::Borrowed(storage, layout) => (storage, layout),
            Self::Owned(storage, layout) => (storage, layout),
        }
    }
}

/// `t` summed over the dimensions that broadcasting to `t`'s shape added to or stretched in `like`.
///
/// The sum is rounded to `like`'s dtype once, at its end.
pub(crate) fn sum_to_shape(t: &Tensor, like: &Tensor) -> Result<Tensor> {
    if t.dims() == like.dims() {
        return t.to_dtype(like.dtype());
    }
    let mut t = t.to_dtype(accumulator(t.dtype()))?;
    while t.rank() > like.rank() {
        t = t.sum(0)?;
    }
    for (dim, &size) in like.dims().iter().enumerate() {
        if size == 1 && t.dim(dim)? != 1 {
            t = t.sum_keepdim(dim)?;
        }
    }
    t.to_dtype(like.dtype())
}
