//! A run through candle's graph: result, gradients, and what else was computed.

use super::check::Implementation;
use super::input::Placed;
use super::{Array, Failure, Input};
use crate::graph::elementwise;
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};

/// The inputs of a run and the gradient that comes from above.
pub(super) struct Setting<'a> {
    pub(super) inputs: &'a [Input],
    /// Rounded to the inputs' dtypes.
    pub(super) values: Vec<Array>,
    /// Gradient of the result, in its shape and dtype.
    pub(super) upstream: Tensor,
    pub(super) dtype: DType,
    pub(super) device: &'a Device,
}

pub(super) struct Outcome {
    pub(super) result: Tensor,
    /// Gradient of each input, in the input's shape.
    pub(super) gradients: Vec<Option<Tensor>>,
    /// Gradients of tensors that were not tracked.
    pub(super) strays: usize,
}

impl Setting<'_> {
    /// Runs with the inputs tracked whose index is chosen, constants included.
    pub(super) fn run(
        &self,
        run: &Implementation,
        chosen: impl Fn(usize) -> bool,
    ) -> Result<Outcome, Failure> {
        let placed = self.place(chosen)?;
        let tensors: Vec<Tensor> = placed.iter().map(|p| p.tensor.clone()).collect();
        let result = run(&tensors)?;
        if placed.iter().any(Placed::is_tracked) {
            let grads = backward(&result, &self.upstream)?;
            return self.outcome(result, &placed, &grads);
        }
        Ok(Outcome {
            strays: result.track_op().into(),
            gradients: vec![None; placed.len()],
            result,
        })
    }

    fn place(&self, chosen: impl Fn(usize) -> bool) -> Result<Vec<Placed>, Failure> {
        let place = |(i, (input, values)): (usize, (&Input, &Array))| {
            input.place(values, input.dtype_or(self.dtype), self.device, chosen(i))
        };
        let inputs = self.inputs.iter().zip(&self.values).enumerate();
        inputs.map(place).collect()
    }

    fn outcome(
        &self,
        result: Tensor,
        placed: &[Placed],
        grads: &GradStore,
    ) -> Result<Outcome, Failure> {
        let gradient = |(input, placed): (&Input, &Placed)| match input.differentiable {
            true => placed.gradient(grads),
            false => Ok(None),
        };
        let gradients = self.inputs.iter().zip(placed).map(gradient);
        let gradients = gradients.collect::<Result<Vec<_>, _>>()?;
        let wanted = gradients.iter().flatten().count();
        Ok(Outcome {
            // The loss itself stays in the store when nothing is behind it.
            strays: grads.get_ids().count() - wanted - usize::from(!result.track_op()),
            gradients,
            result,
        })
    }
}

/// The gradients of `sum(result * upstream)`. A detached result has none.
fn backward(result: &Tensor, upstream: &Tensor) -> Result<GradStore, Failure> {
    let upstream = upstream.reshape(result.shape())?;
    let product = elementwise::mul(result, &upstream.to_dtype(result.dtype())?)?;
    Ok(product.sum_all()?.backward()?)
}
