//! Products with a packed weight, and products whose results begin with the bias.

use super::{Linear, result_shape};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::{Numbers, slice_of, stored, tensor_like};
use candle_core::{Result as CandleResult, Tensor};
use metal_candle_cpu::gemm::{MatrixMut, Term, Then, computed, computed_sum, sum_of_products};

pub(super) struct Cpu;

impl Function<Linear, 1> for Cpu {
    type Saved = ();

    fn forward(op: &Linear, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let weight = op.weight.on_host()?;
        let weight = weight.matrix()?;
        let (storage, layout) = x.storage_and_layout();
        let x_numbers = Numbers::of(&storage, layout)?;
        let terms = [(x_numbers.matrix(weight.columns), weight.transposed())];
        let y = sum_with_bias(&terms, op.bias.as_ref())?;
        let shape = result_shape(x.dims(), weight.rows);
        Ok((Value::cpu(stored(y, &shape, x.dtype())?, shape), ()))
    }

    fn backward(op: &Linear, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace {
            inputs: [x], dy, ..
        } = trace;
        let weight = op.weight.on_host()?;
        let weight = weight.matrix()?;
        let (storage, layout) = dy.storage_and_layout();
        let dy = Numbers::of(&storage, layout)?;
        let dx = computed(1.0, dy.matrix(weight.rows), weight);
        Ok([Some(tensor_like(dx, x)?)])
    }
}

/// `sum A B + bias` over one or two terms, in every row.
pub(crate) fn sum_with_bias(terms: &[Term<'_>], bias: Option<&Tensor>) -> CandleResult<Vec<f32>> {
    let Some(bias) = bias else {
        return Ok(computed_sum(1.0, terms));
    };
    let (rows, columns) = (terms[0].0.rows, terms[0].1.columns);
    let (storage, layout) = bias.storage_and_layout();
    let mut y = slice_of(&storage, layout)?.repeat(rows);
    let matrix = MatrixMut::new(&mut y, rows, columns);
    sum_of_products(matrix, Then::Add, 1.0, terms);
    Ok(y)
}
