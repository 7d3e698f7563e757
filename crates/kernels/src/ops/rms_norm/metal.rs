//! A threadgroup for every row; the weight's gradient is summed in parts, in an order of its own.

use super::{RmsNorm, WithResidual};
use crate::Result;
use crate::graph::{Function, Gradients, Kernel, Trace, Value};
use crate::metal::{FOUR, Launch, Output, Rows, SIMD, Source, device_of};
use candle_core::{DType, MetalDevice, Tensor};

const SOURCE: Source = Source {
    name: "rms_norm",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("rms_norm.metal")
    ),
};

/// Rows that one thread sums for the weight's gradient, for four columns.
const PART_ROWS: usize = 16;

/// SIMD groups that share the parts of a column, as many as have room in a threadgroup.
const SUMMANDS: usize = 32;

pub(super) struct Metal;

impl Function<RmsNorm, 2> for Metal {
    type Saved = ();

    fn forward(op: &RmsNorm, [x, weight]: [&Tensor; 2]) -> Result<(Value, ())> {
        let (device, types) = (device_of(x)?, [("T", x.dtype()), ("W", weight.dtype())]);
        let (x_storage, x_layout) = x.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let rows = Rows::of(&x_storage, x_layout)?;
        let weight = Rows::of(&weight_storage, weight_layout)?;
        let names = ["rms_norm_forward", "rms_norm_forward_fours"];
        let kernel = Rows::choose(&[&rows, &weight], names);
        let y = Output::new(device, x.elem_count(), x.dtype())?;
        Launch::new(device, &SOURCE, &types, kernel)?
            .rows(&rows)
            .rows(&weight)
            .output(&y)
            .int(rows.width)?
            .float(op.eps)
            .over_kept_rows(rows.count, rows.width)?;
        Ok((y.into_value(x.shape()), ()))
    }

    fn backward(op: &RmsNorm, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace {
            inputs: [x, weight],
            dy,
            ..
        } = trace;
        gradients(op, x, weight, dy)
    }
}

impl Kernel<WithResidual, 3, 2> for Metal {
    type Saved = ();

    fn forward(
        WithResidual(op): &WithResidual,
        [x, residual, weight]: [&Tensor; 3],
    ) -> Result<([Value; 2], ())> {
        let (device, types) = (device_of(x)?, [("T", x.dtype()), ("W", weight.dtype())]);
        let (x_storage, x_layout) = x.storage_and_layout();
        let (residual_storage, residual_layout) = residual.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let rows = Rows::of(&x_storage, x_layout)?;
        let residual = Rows::of(&residual_storage, residual_layout)?;
        let weight = Rows::of(&weight_storage, weight_layout)?;
        let names = ["rms_norm_residual", "rms_norm_residual_fours"];
        let kernel = Rows::choose(&[&rows, &residual, &weight], names);
        let sum = Output::new(device, x.elem_count(), x.dtype())?;
        let y = Output::new(device, x.elem_count(), x.dtype())?;
        Launch::new(device, &SOURCE, &types, kernel)?
            .rows(&rows)
            .rows(&residual)
            .rows(&weight)
            .output(&sum)
            .output(&y)
            .int(rows.width)?
            .float(op.eps)
            .over_kept_rows(rows.count, rows.width)?;
        Ok(([sum, y].map(|output| output.into_value(x.shape())), ()))
    }

    fn backward(
        WithResidual(op): &WithResidual,
        (): &(),
        [_, _, weight]: &[Tensor; 3],
        [sum, _]: &[Tensor; 2],
        [dsum, dnormed]: [Option<&Tensor>; 2],
    ) -> Result<Gradients<3>> {
        let through_norm = match dnormed {
            Some(dnormed) => gradients(op, sum, weight, dnormed)?,
            None => [None, None],
        };
        WithResidual::gradients(dsum, through_norm)
    }
}

/// The gradients of `x` and, where it is tracked, of the weight.
fn gradients(op: &RmsNorm, x: &Tensor, weight: &Tensor, dy: &Tensor) -> Result<Gradients<2>> {
    let (device, types) = (device_of(x)?, [("T", x.dtype()), ("W", weight.dtype())]);
    let (x_storage, x_layout) = x.storage_and_layout();
    let (dy_storage, dy_layout) = dy.storage_and_layout();
    let (weight_storage, weight_layout) = weight.storage_and_layout();
    let [x_rows, dy_rows, weight_rows] = [
        Rows::of(&x_storage, x_layout)?,
        Rows::of(&dy_storage, dy_layout)?,
        Rows::of(&weight_storage, weight_layout)?,
    ];
    let names = ["rms_norm_backward", "rms_norm_backward_fours"];
    let kernel = Rows::choose(&[&x_rows, &dy_rows, &weight_rows], names);
    let dx = Output::new(device, x.elem_count(), x.dtype())?;
    let rstds = Output::new(device, x_rows.count, DType::F32)?;
    Launch::new(device, &SOURCE, &types, kernel)?
        .rows(&x_rows)
        .rows(&weight_rows)
        .rows(&dy_rows)
        .output(&dx)
        .output(&rstds)
        .int(x_rows.width)?
        .float(op.eps)
        .over_kept_rows(x_rows.count, x_rows.width)?;
    let dweight = weight
        .track_op()
        .then(|| weight_gradient(device, &types, &x_rows, &dy_rows, &rstds))
        .transpose()?;
    let dweight = dweight.map(|dweight| dweight.into_tensor(weight.shape()));
    Ok([Some(dx.into_tensor(x.shape())), dweight])
}

/// The sum over rows of `dy x rstd`: over parts of the rows first, then over the parts.
fn weight_gradient(
    device: &MetalDevice,
    types: &[(&'static str, DType); 2],
    x: &Rows<'_>,
    dy: &Rows<'_>,
    rstds: &Output,
) -> Result<Output> {
    let parts = x.count.div_ceil(PART_ROWS);
    let sums = Output::new(device, parts * x.width, DType::F32)?;
    let names = ["rms_norm_weight_parts", "rms_norm_weight_parts_fours"];
    Launch::new(device, &SOURCE, types, Rows::choose(&[x, dy], names))?
        .rows(x)
        .rows(dy)
        .input(rstds)
        .output(&sums)
        .int(x.count)?
        .int(PART_ROWS)?
        .int(x.width)?
        .over_elements(parts, x.width.div_ceil(FOUR))?;
    let dweight = Output::new(device, x.width, types[1].1)?;
    let launch = Launch::new(device, &SOURCE, types, "rms_norm_weight_sum")?;
    let threads = launch.most_threads(SUMMANDS * SIMD);
    launch
        .input(&sums)
        .output(&dweight)
        .int(parts)?
        .int(x.width)?
        .over_groups([x.width.div_ceil(SIMD), 1, 1], [threads, 1, 1])?;
    Ok(dweight)
}
