//! Backward by candle, from an output whose gradient is known.

use crate::Result;
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result as CandleResult, Shape, Tensor,
};

/// Gradients of everything below `output`.
pub(super) fn backward(output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
    let gradient = gradient.detach();
    Ok(output.apply_op1(Upstream { gradient })?.backward()?)
}

/// The end of a graph that hands a known gradient to its input.
struct Upstream {
    gradient: Tensor,
}

impl Upstream {
    /// A scalar to start from; its value is never read.
    fn root<S: BackendStorage>(&self, input: &S) -> CandleResult<(S, Shape)>
    where
        S::Device: BackendDevice<Storage = S>,
    {
        let shape = Shape::from(());
        Ok((input.device().zeros_impl(&shape, input.dtype())?, shape))
    }
}

impl CustomOp1 for Upstream {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn cpu_fwd(&self, s: &CpuStorage, _: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        self.root(s)
    }

    fn cuda_fwd(&self, s: &CudaStorage, _: &Layout) -> CandleResult<(CudaStorage, Shape)> {
        self.root(s)
    }

    fn metal_fwd(&self, s: &MetalStorage, _: &Layout) -> CandleResult<(MetalStorage, Shape)> {
        self.root(s)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> CandleResult<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}
