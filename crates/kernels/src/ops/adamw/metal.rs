//! A launch for every parameter, a thread for every number.

use super::Update;
use super::factors::Factors;
use crate::metal::{Launch, Source, device_of, on_metal};
use candle_core::{Layout, Result, Storage, Tensor};
use candle_metal_kernels::metal::Buffer;

const SOURCE: Source = Source {
    name: "adamw",
    text: include_str!("adamw.metal"),
};

/// Updates all parameters, which have been checked.
pub(super) fn step(factors: &Factors, updates: &[Update<'_>]) -> crate::Result<()> {
    for one in updates {
        update(factors, one)?;
    }
    Ok(())
}

fn update(factors: &Factors, update: &Update<'_>) -> Result<()> {
    let device = device_of(update.gradient)?;
    let gradient = update.gradient.contiguous()?;
    let tensors = [
        update.parameter.as_tensor(),
        &update.moments.first,
        &update.moments.second,
        &gradient,
    ];
    let [parameter, first, second, gradient] = tensors.map(Tensor::storage_and_layout);
    let [parameter, first, second, gradient] = [
        place(&parameter.0, parameter.1)?,
        place(&first.0, first.1)?,
        place(&second.0, second.1)?,
        place(&gradient.0, gradient.1)?,
    ];
    let factors = factors.in_order();
    Launch::new(device, &SOURCE, &[], "adamw")?
        .in_place(parameter)
        .in_place(first)
        .in_place(second)
        .buffer(gradient)
        .constants(&factors)
        .over_elements(1, update.parameter.elem_count())
}

/// The buffer of a contiguous tensor of float32, and where in it the tensor begins, in bytes.
fn place<'a>(storage: &'a Storage, layout: &Layout) -> Result<(&'a Buffer, usize)> {
    match layout.contiguous_offsets() {
        Some((start, _)) => Ok((on_metal(storage)?.buffer(), start * size_of::<f32>())),
        None => candle_core::bail!("adamw: what is changed must be contiguous float32"),
    }
}
