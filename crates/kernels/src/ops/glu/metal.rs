//! A thread for every few fours of elements.

use super::{Activation, Glu};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{Launch, Output, Rows, Source, device_of};
use candle_core::Tensor;

const SOURCE: Source = Source {
    name: "glu",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("activation.metal"),
        include_str!("glu.metal")
    ),
};

pub(super) struct Metal;

impl Function<Glu, 2> for Metal {
    type Saved = ();

    fn forward(op: &Glu, [gate, up]: [&Tensor; 2]) -> Result<(Value, ())> {
        let names = match op.0 {
            Activation::Silu => ["swiglu_forward", "swiglu_forward_fours"],
            Activation::GeluTanh => ["geglu_forward", "geglu_forward_fours"],
        };
        let (device, dtype) = (device_of(gate)?, gate.dtype());
        let (gate_storage, gate_layout) = gate.storage_and_layout();
        let (up_storage, up_layout) = up.storage_and_layout();
        let rows = Rows::of(&gate_storage, gate_layout)?;
        let up = Rows::of(&up_storage, up_layout)?;
        let kernel = Rows::choose(&[&rows, &up], names);
        let y = Output::new(device, gate.elem_count(), dtype)?;
        Launch::new(device, &SOURCE, &[("T", dtype)], kernel)?
            .rows(&rows)
            .rows(&up)
            .output(&y)
            .int(rows.width)?
            .over_fours(rows.count, rows.width)?;
        Ok((y.into_value(gate.shape()), ()))
    }

    fn backward(op: &Glu, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace {
            inputs: [gate, up],
            dy,
            ..
        } = trace;
        let names = match op.0 {
            Activation::Silu => ["swiglu_backward", "swiglu_backward_fours"],
            Activation::GeluTanh => ["geglu_backward", "geglu_backward_fours"],
        };
        let (device, dtype) = (device_of(gate)?, gate.dtype());
        let (gate_storage, gate_layout) = gate.storage_and_layout();
        let (up_storage, up_layout) = up.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let rows = Rows::of(&gate_storage, gate_layout)?;
        let up = Rows::of(&up_storage, up_layout)?;
        let dy = Rows::of(&dy_storage, dy_layout)?;
        let kernel = Rows::choose(&[&rows, &up, &dy], names);
        let new = || Output::new(device, gate.elem_count(), dtype);
        let (dgate, dup) = (new()?, new()?);
        Launch::new(device, &SOURCE, &[("T", dtype)], kernel)?
            .rows(&rows)
            .rows(&up)
            .rows(&dy)
            .output(&dgate)
            .output(&dup)
            .int(rows.width)?
            .over_fours(rows.count, rows.width)?;
        Ok([dgate, dup].map(|gradient| Some(gradient.into_tensor(gate.shape()))))
    }
}
