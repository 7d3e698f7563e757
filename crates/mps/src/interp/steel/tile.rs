//! The part of a result that one threadgroup computes.

use super::super::Fault;
use super::is_set;
use super::kernel::Kernel;
use crate::plan::SteelPlan;
use crate::plan::steel::constant;

/// Tile that one threadgroup computes.
pub(super) struct Tile {
    pub first_row: usize,
    pub first_column: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Tile {
    /// The tile of a threadgroup, or none where there is nothing for it to do.
    pub fn new(
        plan: &SteelPlan,
        kernel: &Kernel,
        [y, x]: [usize; 2],
    ) -> Result<Option<Self>, Fault> {
        let (params, log) = (&plan.params, plan.params.swizzle_log);
        let (y, x) = ((y << log) + (x & ((1 << log) - 1)), x >> log);
        if params.tiles_n as usize <= x || params.tiles_m as usize <= y {
            return Ok(None);
        }
        let [bm, bn] = kernel.tile;
        let (first_row, first_column) = (y * bm, x * bn);
        let covered = |aligned, full: usize, len: i32, first: usize| {
            let left = len as i64 - first as i64;
            match is_set(plan, aligned) {
                true => Ok(full),
                false if left > 0 => Ok(full.min(left as usize)),
                false => Err(Fault::Argument {
                    name: "rows or columns of a tile",
                    value: left,
                }),
            }
        };
        Ok(Some(Self {
            first_row,
            first_column,
            rows: covered(constant::ALIGN_M, bm, params.m, first_row)?,
            columns: covered(constant::ALIGN_N, bn, params.n, first_column)?,
        }))
    }

    pub fn elements(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (rows, columns) = (self.rows, self.columns);
        (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
    }
}
