//! Products with a packed weight.

use super::{Linear, result_shape};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{DeviceTensor, Room};
use candle_core::Tensor;

pub(super) struct Metal;

impl Function<Linear, 1> for Metal {
    type Saved = ();

    fn forward(op: &Linear, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let (n, _) = op.weight.dims()?;
        let bias = op.bias.as_ref().map(DeviceTensor::of).transpose()?;
        let weight = op.weight.on_metal()?;
        let y = weight.linear(&DeviceTensor::of(x)?.as_rows()?, bias.as_ref(), Room::None)?;
        Ok((y.into_value(result_shape(x.dims(), n)), ()))
    }

    fn backward(op: &Linear, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace {
            inputs: [x], dy, ..
        } = trace;
        let dx = op
            .weight
            .on_metal()?
            .gradient(&DeviceTensor::of(dy)?.as_rows()?)?;
        Ok([Some(dx.into_gradient(x)?)])
    }
}
