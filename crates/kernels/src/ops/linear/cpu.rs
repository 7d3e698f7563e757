//! Products whose results begin with the bias.

use crate::host::slice_of;
use candle_core::{Result, Tensor};
use metal_candle_cpu::gemm::{MatrixMut, Term, Then, computed_sum, sum_of_products};

/// `sum A B + bias` over one or two terms, in every row.
pub(crate) fn sum_with_bias(terms: &[Term<'_>], bias: Option<&Tensor>) -> Result<Vec<f32>> {
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
