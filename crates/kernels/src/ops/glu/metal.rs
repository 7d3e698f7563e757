//! A thread for every element.

use super::{Activation, Glu};
use crate::Result;
use crate::metal::{Launch, Output, Rows, Source, device_of};
use crate::node::{Function, Gradients, Trace, Value};
use candle_core::Tensor;

const SOURCE: Source = Source {
    name: "glu",
    text: include_str!("glu.metal"),
};

pub(super) struct Metal;

impl Function<Glu, 2> for Metal {
    type Saved = ();

    fn forward(op: &Glu, [gate, up]: [&Tensor; 2]) -> Result<(Value, ())> {
        let kernel = match op.0 {
            Activation::Silu => "swiglu_forward",
            Activation::GeluTanh => "geglu_forward",
        };
        let (device, dtype) = (device_of(gate)?, gate.dtype());
        let (gate_storage, gate_layout) = gate.storage_and_layout();
        let (up_storage, up_layout) = up.storage_and_layout();
        let rows = Rows::of(&gate_storage, gate_layout)?;
        let y = Output::new(device, gate.elem_count(), dtype)?;
        Launch::new(device, &SOURCE, &[("T", dtype)], kernel)?
            .rows(&rows)
            .rows(&Rows::of(&up_storage, up_layout)?)
            .output(&y)
            .over_elements(rows.count, rows.width)?;
        Ok((y.into_value(gate.shape()), ()))
    }

    fn backward(op: &Glu, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace {
            inputs: [gate, up],
            dy,
            ..
        } = trace;
        let kernel = match op.0 {
            Activation::Silu => "swiglu_backward",
            Activation::GeluTanh => "geglu_backward",
        };
        let (device, dtype) = (device_of(gate)?, gate.dtype());
        let (gate_storage, gate_layout) = gate.storage_and_layout();
        let (up_storage, up_layout) = up.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let rows = Rows::of(&gate_storage, gate_layout)?;
        let new = || Output::new(device, gate.elem_count(), dtype);
        let (dgate, dup) = (new()?, new()?);
        Launch::new(device, &SOURCE, &[("T", dtype)], kernel)?
            .rows(&rows)
            .rows(&Rows::of(&up_storage, up_layout)?)
            .rows(&Rows::of(&dy_storage, dy_layout)?)
            .output(&dgate)
            .output(&dup)
            .over_elements(rows.count, rows.width)?;
        Ok([dgate, dup].map(|gradient| Some(gradient.into_tensor(gate.shape()))))
    }
}
