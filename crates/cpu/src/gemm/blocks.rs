//! Matrices that are not read number by number.

use std::ops::Range;

/// A packed matrix in host memory.
pub trait Blocks: Sync {
    /// Writes the numbers of some rows and columns in float32, row after row.
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]);

    /// A few rows `x`, of `K` numbers each, prepared for a kernel that multiplies them with the matrix
    /// without unpacking it, where there is one.
    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        let _ = x;
        None
    }
}

/// A few rows beside a packed matrix, shared by the threads of a product.
pub trait FewRows: Sync {
    /// Writes the dot products of each of them with some rows of the matrix, row after row.
    fn products(&self, rows: Range<usize>, to: &mut [f32]);
}
