//! Rows in host memory whose columns lie in the order of their groups.

use super::order::Order;
use super::{Packed, ZeroPoint};
use crate::weight::{Blocks, FewRows};
use candle_core::Result;
use std::ops::Range;

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    /// The rows, in the order of groups.
    rows: Box<dyn Blocks + 'a>,
    order: &'a Order,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a ZeroPoint, order: &'a Order) -> Result<Self> {
        let rows = packed.rows.on_host()?;
        Ok(Self { rows, order })
    }
}

impl Blocks for OnHost<'_> {
    /// The columns lie anywhere in a row: all of it is unpacked.
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        let places = &self.order.places;
        let mut whole = vec![0.0; places.len()];
        for (row, to) in rows.zip(to.chunks_exact_mut(columns.len().max(1))) {
            self.rows.read(row..row + 1, 0..places.len(), &mut whole);
            for (to, place) in to.iter_mut().zip(&places[columns.clone()]) {
                *to = whole[*place as usize];
            }
        }
    }

    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        let columns = &self.order.columns;
        let ordered = |x: &Vec<f32>| columns.iter().map(|column| x[*column as usize]).collect();
        let x: Vec<Vec<f32>> = x.iter().map(ordered).collect();
        self.rows.few_rows(&x)
    }
}
