//! Few rows by several matrices in one launch.

use super::{Layer, MOST_ROWS, Then};
use crate::metal::{self, DeviceMatrix, DeviceTensor, FewRows, Kernels, Layer as OnMetal, Update};
use crate::ops::glu::Activation;
use crate::ops::linear::result_shape;
use candle_core::{DType, Result, Tensor};

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

/// The products, none of which is tracked; `None` where the weights are stored in several ways, or adapters are no float32.
pub(super) fn together(
    x: &Tensor,
    layers: &[Layer<'_>],
    then: Then<'_>,
) -> Result<Option<Vec<Tensor>>> {
    let rows = DeviceTensor::of(x)?.as_rows()?;
    let on_metal = layers.iter().map(on_metal).collect::<Result<Vec<_>>>()?;
    let result = |y: DeviceTensor| {
        let shape = result_shape(x.dims(), y.dims()[1]);
        y.into_value(shape).into_tensor()
    };
    let have_adapters = layers.iter().any(|layer| layer.lora.is_some());
    if let (Then::Add(residual), [layer], false) = (then, &on_metal[..], have_adapters) {
        let residual = DeviceTensor::of(residual)?.as_rows()?;
        let sum = metal::onto(&rows, &layer.matrix, &residual)?;
        return Ok(Some(vec![result(sum)]));
    }
    // Before anything is launched for adapters.
    if have_adapters && (x.dtype() != DType::F32 || FewRows::new(&rows, &on_metal)?.is_none()) {
        return Ok(None);
    }
    let Some(mut updated) = with_updates(&rows, on_metal, layers)? else {
        return Ok(None);
    };
    if let Then::Add(residual) = then {
        updated[0].addend = Some(DeviceTensor::of(residual)?.as_rows()?);
    }
    let Some(few) = FewRows::new(&rows, &updated)? else {
        return Ok(None);
    };
    let results = match then {
        Then::Gate(Activation::Silu) => vec![few.gated(&SWIGLU)?],
        Then::Gate(Activation::GeluTanh) => vec![few.gated(&GEGLU)?],
        Then::Nothing | Then::Add(_) => few.products()?,
    };
    Ok(Some(results.into_iter().map(result).collect()))
}

fn on_metal(layer: &Layer<'_>) -> Result<OnMetal> {
    Ok(OnMetal {
        matrix: layer.weight.on_metal()?.into_matrix()?,
        addend: layer.bias.map(DeviceTensor::of).transpose()?,
        update: None,
    })
}

/// Layers with what their adapters add, after one launch for all `x A^T`.
fn with_updates(
    rows: &DeviceTensor,
    mut on_metal: Vec<OnMetal>,
    layers: &[Layer<'_>],
) -> Result<Option<Vec<OnMetal>>> {
    let loras = layers.iter().flat_map(|layer| layer.lora);
    let down = loras.map(|lora| {
        Ok(OnMetal {
            matrix: DeviceMatrix::dense(DeviceTensor::of(lora.a)?)?,
            addend: None,
            update: None,
        })
    });
    let down = down.collect::<Result<Vec<_>>>()?;
    if down.is_empty() {
        return Ok(Some(on_metal));
    }
    let Some(down) = FewRows::new(rows, &down)? else {
        return Ok(None);
    };
    let mut hidden = down.products()?.into_iter();
    for (on_metal, layer) in on_metal.iter_mut().zip(layers) {
        let Some(lora) = layer.lora else { continue };
        let (u, scale) = (DeviceTensor::of(lora.b)?, lora.scale);
        on_metal.update = hidden.next().map(|h| Update { h, u, scale });
    }
    Ok(Some(on_metal))
}
