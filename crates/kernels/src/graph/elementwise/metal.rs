//! Sums, products and copies: a thread for every few fours of elements.

use super::{Binary, Candle, Derivative, InOrder, MOST_DIMENSIONS};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{Launch, Output, Rows, Source, device_of};
use candle_core::Tensor;

const SOURCE: Source = Source {
    name: "elementwise",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("elementwise.metal")
    ),
};

pub(super) struct Metal;

impl<Op: Derivative> Function<Binary<Op>, 2> for Metal {
    type Saved = ();

    fn forward(op: &Binary<Op>, [a, b]: [&Tensor; 2]) -> Result<(Value, ())> {
        let (shape, layouts) = Binary::<Op>::broadcast(a, b)?;
        if shape.rank() > MOST_DIMENSIONS {
            return Candle::forward(op, [a, b]);
        }
        let stored = [a, b].map(|operand| operand.storage_and_layout().0);
        let rows = [
            Rows::of(&stored[0], &layouts[0])?,
            Rows::of(&stored[1], &layouts[1])?,
        ];
        let kernel = Rows::choose(&[&rows[0], &rows[1]], Op::KERNELS);
        let y = Output::new(device_of(a)?, shape.elem_count(), a.dtype())?;
        Launch::new(device_of(a)?, &SOURCE, &[("T", a.dtype())], kernel)?
            .rows(&rows[0])
            .rows(&rows[1])
            .output(&y)
            .int(rows[0].width)?
            .over_fours(rows[0].count, rows[0].width)?;
        Ok((y.into_value(&shape), ()))
    }

    fn backward(_: &Binary<Op>, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        Binary::<Op>::gradients(trace.inputs, trace.dy)
    }
}

impl Function<InOrder, 1> for Metal {
    type Saved = ();

    fn forward(_: &InOrder, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let (storage, layout) = x.storage_and_layout();
        let rows = Rows::of(&storage, layout)?;
        let y = Output::new(device_of(x)?, x.elem_count(), x.dtype())?;
        let kernel = Rows::choose(&[&rows], ["elementwise_copy", "elementwise_copy_fours"]);
        Launch::new(device_of(x)?, &SOURCE, &[("T", x.dtype())], kernel)?
            .rows(&rows)
            .output(&y)
            .int(rows.width)?
            .over_fours(rows.count, rows.width)?;
        Ok((y.into_value(x.shape()), ()))
    }

    fn backward(_: &InOrder, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        Ok([Some(trace.dy.clone())])
    }
}
