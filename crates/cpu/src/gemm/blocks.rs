//! Matrices that are not read number by number.

use std::ops::Range;

/// A packed matrix in host memory.
pub trait Blocks: Sync {
    /// Writes the numbers of some rows and columns in float32, row after row.
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]);

    /// Writes the dot products of each of `x`, a few rows of `K`, with some rows of the matrix, where
    /// there is a kernel that needs not unpack them. Says whether there is.
    fn products(&self, x: &[Vec<f32>], rows: Range<usize>, to: &mut [f32]) -> bool {
        let _ = (x, rows, to);
        false
    }
}
