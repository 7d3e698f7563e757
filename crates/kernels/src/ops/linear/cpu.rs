//! Products with a packed weight, and products whose results begin with the bias.

use super::{Linear, result_shape};
use crate::Result;
use crate::host::{slice_of, stored, tensor_like};
use crate::node::{Function, Gradients, Trace, Value};
use candle_core::{Result as CandleResult, Tensor};
use metal_candle_cpu::gemm::{
    Matrix, MatrixMut, Term, Then, computed, computed_sum, sum_of_products,
};

pub(super) struct Cpu;

impl Function<Linear, 1> for Cpu {
    type Saved = ();

    fn forward(op: &Linear, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let weight = op.weight.on_host()?;
        let weight = weight.matrix()?;
        let (storage, layout) = x.storage_and_layout();
        let values = slice_of(&storage, layout)?;
        let rows = values.len() / weight.columns.max(1);
        let left = Matrix::new(&values, rows, weight.columns);
        let y = sum_with_bias(&[(left, weight.transposed())], op.bias.as_ref())?;
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
        let values = slice_of(&storage, layout)?;
        let rows = values.len() / weight.rows.max(1);
        let dx = computed(1.0, Matrix::new(&values, rows, weight.rows), weight);
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
