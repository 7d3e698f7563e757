//! A threadgroup for every row.

use super::Softmax;
use crate::Result;
use crate::metal::{Launch, Output, Rows, Source, device_of};
use crate::node::{Function, Gradients, Trace, Value};
use candle_core::Tensor;

const SOURCE: Source = Source {
    name: "softmax",
    text: include_str!("softmax.metal"),
};

pub(super) struct Metal;

impl Function<Softmax, 1> for Metal {
    type Saved = ();

    fn forward(_: &Softmax, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let device = device_of(x)?;
        let (storage, layout) = x.storage_and_layout();
        let rows = Rows::of(&storage, layout)?;
        let y = Output::new(device, x.elem_count(), x.dtype())?;
        Launch::new(device, &SOURCE, &[("T", x.dtype())], "softmax_forward")?
            .rows(&rows)
            .output(&y)
            .int(rows.width)?
            .over_rows(rows.count, rows.width)?;
        Ok((y.into_value(x.shape()), ()))
    }

    fn backward(_: &Softmax, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace { y, dy, .. } = trace;
        let device = device_of(y)?;
        let (y_storage, y_layout) = y.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let rows = Rows::of(&y_storage, y_layout)?;
        let dx = Output::new(device, y.elem_count(), y.dtype())?;
        Launch::new(device, &SOURCE, &[("T", y.dtype())], "softmax_backward")?
            .rows(&rows)
            .rows(&Rows::of(&dy_storage, dy_layout)?)
            .output(&dx)
            .int(rows.width)?
            .over_rows(rows.count, rows.width)?;
        Ok([Some(dx.into_tensor(y.shape()))])
    }
}
