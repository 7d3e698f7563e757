//! A few rows times a packed matrix whose format multiplies them without unpacking it.

use super::matrix::{Data, Matrix};
use super::output::Place;
use super::{FewRows, ProductSum};
use std::ops::Range;

/// Prepared for the threads of a product.
pub(super) struct Few<'a> {
    rows: Box<dyn FewRows + 'a>,
    /// The row of the packed matrix that the first column is.
    first: usize,
}

impl<'a> Few<'a> {
    /// Where the format has a kernel for these sizes.
    pub(super) fn of(product: &ProductSum<'a>) -> Option<Self> {
        let (a, b) = product.terms[0];
        let Data::Packed(packed) = b.data else {
            return None;
        };
        let x: Vec<Vec<f32>> = (0..a.rows).map(|row| a.row(row)).collect();
        let (rows, first) = packed.few_rows(&x)?;
        Some(Self { rows, first })
    }

    /// Computes some columns of the product.
    pub(super) fn run(&self, product: &ProductSum<'_>, columns: Range<usize>) {
        let Matrix { rows, .. } = product.terms[0].0;
        let mut sums = vec![0.0; rows * columns.len()];
        let packed = self.first + columns.start..self.first + columns.end;
        self.rows.products(packed, &mut sums);
        let then = product.then;
        for (row, sums) in sums.chunks(columns.len().max(1)).enumerate() {
            for (column, sum) in columns.clone().zip(sums) {
                let place = Place { row, column, then };
                product.output.write_sums(&[[*sum]], place);
            }
        }
    }
}
