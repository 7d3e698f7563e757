//! Products of matrices in host memory, which all operations share.
//!
//! `A` and `B` are read in any order and any float dtype but f64; sums and results are float32.
//! Which kernel computes a product depends on its sizes and on how the operands lie: few rows whose
//! operands both run along the inner dimension are dot products (`dots.rs`), which read `B` once as
//! it is stored; everything else is packed and multiplied in blocks (`blocked.rs`). No bit of a
//! result depends on the number of threads.

mod blocked;
mod dots;
mod element;
mod matrix;
mod output;
mod pack;
#[cfg(test)]
mod tests;
mod tile;
mod transpose;

pub(crate) use matrix::{Data, Matrix, MatrixMut};

use crate::simd::{self, Level};
use blocked::Part;
use output::Output;
use rayon::prelude::*;
use std::ops::Range;

/// Inner steps of a block: a packed panel of `B` has 32 KiB, which leaves the first cache room.
const DEPTH: usize = 384;

/// Distance of packed rows of `A`. Not a power of two: their elements would share one cache set.
const PACKED_ROW: usize = DEPTH + 16;

/// Multiplications below which a second thread does not pay: it takes some 10 microseconds to
/// start, in which one thread does about a million.
const PARALLEL_WORK: usize = 2 << 20;

/// Who works on a product.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    /// The calling thread: inside of parallel work.
    One,
    /// All, where there is enough work.
    All,
}

/// What a product does with the numbers that are there.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Overwrites them, without a look.
    Write,
    /// Adds to them.
    Add,
}

/// `C = alpha * A B`, or `C += alpha * A B`.
pub(crate) fn product(
    c: MatrixMut<'_>,
    then: Then,
    alpha: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: Threads,
) {
    product_at(simd::level(), c, then, alpha, a, b, threads);
}

fn product_at(
    level: Level,
    c: MatrixMut<'_>,
    then: Then,
    alpha: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: Threads,
) {
    assert_eq!(
        (a.rows, a.columns, b.columns),
        (c.rows, b.rows, c.columns),
        "sizes of a product"
    );
    if c.row_stride == 1 && c.column_stride != 1 || c.columns == 1 && c.rows != 1 {
        // Vectors run along the columns of the result.
        let (a, b) = (b.transposed(), a.transposed());
        return product_at(level, c.transposed(), then, alpha, a, b, threads);
    }
    let output = Output::new(c, alpha);
    if dots::takes(a, b) {
        return dots::product(level, output, then, a, b, threads);
    }
    let multiply = |rows: Range<usize>, columns: Range<usize>| {
        let part = Part {
            a,
            b,
            output,
            then,
            rows,
            columns,
        };
        part.run(level);
    };
    let work = a.rows * a.columns * b.columns;
    // Each part packs all of the operand that is not shared: the smaller one.
    if a.rows > b.columns {
        share(threads, work, a.rows, |rows| multiply(rows, 0..b.columns));
    } else {
        share(threads, work, b.columns, |columns| {
            multiply(0..a.rows, columns)
        });
    }
}

/// Rows or columns that two threads never share: a panel of the widest vectors.
const UNIT: usize = 32;

/// Calls `f` with parts of `0..size`, on as many threads as `work` multiplications are worth.
fn share(threads: Threads, work: usize, size: usize, f: impl Fn(Range<usize>) + Sync) {
    let count = match threads {
        Threads::One => 1,
        Threads::All => (work / PARALLEL_WORK).clamp(1, rayon::current_num_threads()),
    };
    let units = size.div_ceil(UNIT);
    let part = |i: usize| {
        let (start, end) = (units * i / count, units * (i + 1) / count);
        f(start * UNIT..size.min(end * UNIT));
    };
    match count {
        1 => part(0),
        _ => (0..count).into_par_iter().for_each(part),
    }
}
