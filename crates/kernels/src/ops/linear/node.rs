//! The product with a packed weight as one node of candle's graph.

use super::cpu::sum_with_bias;
use super::result_shape;
use crate::Weight;
use crate::host::{slice, slice_of, stored, tensor_like};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use metal_candle_cpu::gemm::{Matrix, computed};

/// What is the same in forward and backward.
pub(super) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn new(weight: &Weight, bias: Option<&Tensor>) -> Self {
        Self {
            weight: weight.detach(),
            bias: bias.map(Tensor::detach),
        }
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let weight = self.weight.on_host()?;
        let weight = weight.matrix()?;
        let values = slice(x, layout)?;
        let rows = values.len() / weight.columns.max(1);
        let term = (
            Matrix::new(&values, rows, weight.columns),
            weight.transposed(),
        );
        let y = sum_with_bias(&[term], self.bias.as_ref())?;
        let shape = result_shape(layout.dims(), weight.rows);
        Ok((stored(y, &shape, x.dtype())?, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let weight = self.weight.on_host()?;
        let weight = weight.matrix()?;
        let (storage, layout) = dy.storage_and_layout();
        let values = slice_of(&storage, layout)?;
        let rows = values.len() / weight.rows.max(1);
        let dx = computed(1.0, Matrix::new(&values, rows, weight.rows), weight);
        tensor_like(dx, x).map(Some)
    }
}
