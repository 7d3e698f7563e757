//! A thread for every element.

use super::Activation;
use crate::metal::{Launch, Output, Rows, Source, device_of};
use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result, Tensor};

const SOURCE: Source = Source {
    name: "glu",
    text: include_str!("glu.metal"),
};

pub(super) fn forward(
    (gate, gate_layout): (&MetalStorage, &Layout),
    (up, up_layout): (&MetalStorage, &Layout),
    activation: Activation,
) -> Result<MetalStorage> {
    let kernel = match activation {
        Activation::Silu => "swiglu_forward",
        Activation::GeluTanh => "geglu_forward",
    };
    let (device, dtype) = (gate.device(), gate.dtype());
    let rows = Rows::new(gate, gate_layout)?;
    let y = Output::new(device, gate_layout.shape().elem_count(), dtype)?;
    Launch::new(device, &SOURCE, &[("T", dtype)], kernel)?
        .rows(&rows)
        .rows(&Rows::new(up, up_layout)?)
        .output(&y)
        .over_elements(rows.count, rows.width)?;
    Ok(y.into_storage())
}

/// The gradients of both inputs.
pub(super) fn backward(
    gate: &Tensor,
    up: &Tensor,
    dy: &Tensor,
    activation: Activation,
) -> Result<[Tensor; 2]> {
    let kernel = match activation {
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
    Ok([dgate, dup].map(|gradient| gradient.into_tensor(gate.shape())))
}
