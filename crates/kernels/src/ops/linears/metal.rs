//! Few rows by several matrices in one launch.

use super::{Layer, MOST_ROWS, Then};
use crate::metal::{self, DeviceTensor, FewRows, Kernels, Layer as OnMetal};
use crate::ops::glu::Activation;
use crate::ops::linear::result_shape;
use candle_core::{Result, Tensor};

const SWIGLU: Kernels = [
    (1, "swiglu_of_1_row"),
    (2, "swiglu_of_2_rows"),
    (4, "swiglu_of_4_rows"),
    (MOST_ROWS, "swiglu_of_8_rows"),
];
const GEGLU: Kernels = [
    (1, "geglu_of_1_row"),
    (2, "geglu_of_2_rows"),
    (4, "geglu_of_4_rows"),
    (MOST_ROWS, "geglu_of_8_rows"),
];

/// The products, none of which is tracked; `None` where the weights are stored in several ways.
pub(super) fn together(
    x: &Tensor,
    layers: &[Layer<'_>],
    then: Then<'_>,
) -> Result<Option<Vec<Tensor>>> {
    let rows = DeviceTensor::of(x)?.as_rows()?;
    let layers = layers.iter().map(on_metal).collect::<Result<Vec<_>>>()?;
    let result = |y: DeviceTensor| {
        let shape = result_shape(x.dims(), y.dims()[1]);
        y.into_value(shape).into_tensor()
    };
    if let (Then::Add(residual), [(matrix, _)]) = (then, &layers[..]) {
        let residual = DeviceTensor::of(residual)?.as_rows()?;
        return Ok(Some(vec![result(metal::onto(&rows, matrix, &residual)?)]));
    }
    let Some(few) = FewRows::new(&rows, &layers)? else {
        return Ok(None);
    };
    let results = match then {
        Then::Gate(Activation::Silu) => vec![few.gated(&SWIGLU)?],
        Then::Gate(Activation::GeluTanh) => vec![few.gated(&GEGLU)?],
        Then::Nothing | Then::Add(_) => few.products()?,
    };
    Ok(Some(results.into_iter().map(result).collect()))
}

fn on_metal((weight, bias): &Layer<'_>) -> Result<OnMetal> {
    let bias = bias.map(DeviceTensor::of).transpose()?;
    Ok((weight.on_metal()?.into_matrix()?, bias))
}
