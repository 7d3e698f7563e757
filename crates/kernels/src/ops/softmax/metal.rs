//! A threadgroup for every row, which its threads keep where it fits; forward by MPS where that was measured to be
//! faster on the machine.

use super::Softmax;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{Launch, Output, Rows, Source, device_of, on_metal};
use candle_core::{Storage, Tensor};
use metal_candle_mps::metal as mps;

const SOURCE: Source = Source {
    name: "softmax",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("softmax.metal")
    ),
};

pub(super) struct Metal;

impl Function<Softmax, 1> for Metal {
    type Saved = ();

    fn forward(_: &Softmax, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let device = device_of(x)?;
        let (storage, layout) = x.storage_and_layout();
        if let Some(y) = mps::softmax((on_metal(&storage)?, layout))? {
            return Ok((Value::new(Storage::Metal(y), x.shape()), ()));
        }
        let rows = Rows::of(&storage, layout)?;
        let y = Output::new(device, x.elem_count(), x.dtype())?;
        let kernel = Rows::choose(&[&rows], ["softmax_forward", "softmax_forward_fours"]);
        Launch::new(device, &SOURCE, &[("T", x.dtype())], kernel)?
            .rows(&rows)
            .output(&y)
            .int(rows.width)?
            .over_kept_rows(rows.count, rows.width)?;
        Ok((y.into_value(x.shape()), ()))
    }

    fn backward(_: &Softmax, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace { y, dy, .. } = trace;
        let device = device_of(y)?;
        let (y_storage, y_layout) = y.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let rows = Rows::of(&y_storage, y_layout)?;
        let dy = Rows::of(&dy_storage, dy_layout)?;
        let names = ["softmax_backward", "softmax_backward_fours"];
        let kernel = Rows::choose(&[&rows, &dy], names);
        let dx = Output::new(device, y.elem_count(), y.dtype())?;
        Launch::new(device, &SOURCE, &[("T", y.dtype())], kernel)?
            .rows(&rows)
            .rows(&dy)
            .output(&dx)
            .int(rows.width)?
            .over_kept_rows(rows.count, rows.width)?;
        Ok([Some(dx.into_tensor(y.shape()))])
    }
}
