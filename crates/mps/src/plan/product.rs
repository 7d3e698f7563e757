//! `result = alpha * left * right + beta * result`, before a kernel is chosen.

use super::grid::Grid;
use super::plane::Plane;
use super::{Reject, Slot, View, limits, shape};

/// A batched product, with `(.., M, K)` on the left, `(.., K, N)` on the right and `(.., M, N)` as
/// the result.
///
/// All three have the same dimensions in front; an operand that serves several matrices of the
/// batch has a stride of 0 there. A transposed factor is one with swapped strides. The result must
/// not share memory with a factor, which a plan cannot see.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// Left factor.
    pub left: &'a View,
    /// Right factor.
    pub right: &'a View,
    /// What is written, and read first if `beta` is not 0.
    pub result: &'a View,
    /// Factor of the product.
    pub alpha: f64,
    /// Factor of what the result holds already.
    pub beta: f64,
}

/// A product taken apart: planes of left, right and result, and the axes that repeat them.
#[derive(Debug)]
pub(crate) struct Parts {
    pub grid: Grid<3>,
    /// K.
    pub interior: usize,
}

impl Product<'_> {
    /// Checks shapes, layouts and sizes, and folds what it can of the batch into the rows.
    ///
    /// `packed` says that folded rows must have no gaps.
    pub(crate) fn parts(&self, packed: bool) -> Result<Parts, Reject> {
        let [_, _, interior] = shape::check(self.left, self.right, self.result)?;
        let planes = self.planes()?;
        let grid = Grid::new([self.left, self.right, self.result], planes, 2);
        let mut parts = Parts { grid, interior };
        parts.check_limits()?;
        parts.fold_rows(packed);
        Ok(parts)
    }

    fn planes(&self) -> Result<[Plane; 3], Reject> {
        let left = Plane::of(Slot::Left, self.left)?;
        let right = Plane::of(Slot::Right, self.right)?;
        self.result.check_writable()?;
        let by_columns = || Reject::ResultByColumns {
            strides: self.result.strides().to_vec(),
        };
        let result = Plane::upright(Slot::Result, self.result).ok_or_else(by_columns)??;
        Ok([left, right, result])
    }
}

impl Parts {
    fn check_limits(&self) -> Result<(), Reject> {
        let [.., result] = &self.grid.planes;
        limits::check_dimension("interior columns", self.interior)?;
        limits::check_dimension("result columns", result.columns)?;
        self.check_rows(result)
    }

    /// What limits the rows of `result`.
    fn check_rows(&self, result: &Plane) -> Result<(), Reject> {
        limits::check_dimension("result rows", result.rows)?;
        limits::check_reach(result.rows, self.interior, result.bytes(result.row_stride))
    }

    /// Turns axes along which the right factor stays put into rows of the left one.
    ///
    /// One large product beats many small ones, and the batched kernels have faults that the plain
    /// one has not (pytorch#180776, #189495, #189847).
    fn fold_rows(&mut self, packed: bool) {
        while let Some((index, left, result)) = self.foldable_axis(packed) {
            self.grid.axes.remove(index);
            let [_, right, _] = self.grid.planes;
            self.grid.planes = [left, right, result];
        }
    }

    /// An axis that can become rows within all limits; the left plane and the result then.
    fn foldable_axis(&self, packed: bool) -> Option<(usize, Plane, Plane)> {
        let [left, _, result] = &self.grid.planes;
        self.grid
            .axes
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, axis)| {
                let [left_stride, right_stride, result_stride] = axis.strides;
                let left = left.fold(axis.len, left_stride)?;
                let result = result.fold(axis.len, result_stride)?;
                let gapless = !packed || (left.is_packed() && result.is_packed());
                let folds = right_stride == 0 && gapless && self.check_rows(&result).is_ok();
                folds.then_some((index, left, result))
            })
    }
}
