//! Products of matrices in host memory, which all operations share.
//!
//! `A` and `B` are read in any order and any float dtype but f64; sums and results are float32.
//! Which kernel computes a product depends on its sizes and on how the operands lie: few rows times
//! a matrix that is stored column after column are dot products (`dots.rs`), everything else is
//! multiplied in blocks (`blocked.rs`), packed where a block is used again. No bit of a result
//! depends on the number of threads.

mod blocked;
mod dots;
mod element;
mod fresh;
mod matrix;
mod output;
mod pack;
#[cfg(test)]
mod tests;
mod tile;
mod transpose;

pub(crate) use matrix::{Data, Matrix, MatrixMut};

use crate::simd::{self, Level};
use crate::threads::on_threads;
use output::Output;
use std::ops::Range;

/// Inner steps of a block: a tile's rows of `A` have 21 KiB, which fit the first cache, and of the
/// result each element is read and written once in so many steps.
const DEPTH: usize = 384;

/// Distance of packed rows of `A`, and inner steps of a block that takes a second term along. Not a
/// power of two: the elements of a column would share one cache set.
const PACKED_ROW: usize = DEPTH + 16;

/// Multiplications of a block below which a second thread does not pay: some microseconds of work,
/// where handing it over takes one ([`on_threads`]).
const PARALLEL_WORK: usize = 1 << 18;

/// The same where every element of `B` is read from memory for a few multiplications.
const PARALLEL_READS: usize = 1 << 15;

/// What a product does with the numbers that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Overwrites them, without a look.
    Write,
    /// Adds to them.
    Add,
}

/// One of the products whose sum is computed: `A`, `(M, K)`, and `B`, `(K, N)`.
pub(crate) type Term<'a> = (Matrix<'a>, Matrix<'a>);

/// `C = alpha * A B`, or `C += alpha * A B`.
pub(crate) fn product(c: MatrixMut<'_>, then: Then, alpha: f32, a: Matrix<'_>, b: Matrix<'_>) {
    sum_of_products(c, then, alpha, &[(a, b)]);
}

/// `alpha * A B` in fresh memory, row after row.
pub(crate) fn computed(alpha: f32, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    computed_sum(alpha, &[(a, b)])
}

/// `alpha * sum A B` over `terms`, of which there is one at least, in fresh memory.
pub(crate) fn computed_sum(alpha: f32, terms: &[Term<'_>]) -> Vec<f32> {
    let (rows, columns) = (terms[0].0.rows, terms[0].1.columns);
    fresh::filled(rows * columns, |memory| {
        let c = MatrixMut::fresh(memory, rows, columns);
        sum_of_products(c, Then::Write, alpha, terms);
    })
}

/// `C = alpha * sum A B`, or `C += alpha * sum A B`, over `terms`. A second term with few inner
/// steps, such as a low-rank update, costs no second pass over `C`.
pub(crate) fn sum_of_products(c: MatrixMut<'_>, then: Then, alpha: f32, terms: &[Term<'_>]) {
    product_at(simd::level(), c, then, alpha, terms);
}

fn product_at(level: Level, c: MatrixMut<'_>, then: Then, alpha: f32, terms: &[Term<'_>]) {
    for (a, b) in terms {
        let sizes = (a.rows, a.columns, b.columns);
        assert_eq!(sizes, (c.rows, b.rows, c.columns), "sizes of a product");
    }
    let turned: Vec<Term<'_>> = terms.iter().copied().map(turned).collect();
    // Few columns are few rows of the transposed product.
    let turns = Kernel::of(terms[0]) == Kernel::Blocked
        && (c.row_stride == 1 && c.column_stride != 1 || Kernel::of(turned[0]) != Kernel::Blocked);
    let (c, terms) = if turns {
        (c.transposed(), &turned[..])
    } else {
        (c, terms)
    };
    let output = Output::new(c, alpha);
    let run = |terms: &[Term<'_>], then| {
        let product = Product {
            level,
            output,
            then,
            terms,
        };
        product.run();
    };
    if Kernel::of(terms[0]) == Kernel::Blocked {
        return run(terms, then);
    }
    for (i, term) in terms.chunks(1).enumerate() {
        run(term, if i == 0 { then } else { Then::Add });
    }
}

/// `A B` read as `(B^T A^T)^T`.
fn turned((a, b): Term<'_>) -> Term<'_> {
    (b.transposed(), a.transposed())
}

/// How a product is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Few rows, and columns that lie densely.
    Dots,
    /// Few rows, and rows of `B` that lie densely.
    Streamed,
    /// Anything else.
    Blocked,
}

impl Kernel {
    fn of((a, b): Term<'_>) -> Self {
        if dots::takes(a, b) {
            Self::Dots
        } else if blocked::streams(a, b) {
            Self::Streamed
        } else {
            Self::Blocked
        }
    }
}

/// A sum of products, after its kernel was chosen.
struct Product<'a> {
    level: Level,
    output: Output<'a>,
    then: Then,
    terms: &'a [Term<'a>],
}

impl Product<'_> {
    fn run(&self) {
        let (a, b) = self.terms[0];
        let (rows, columns) = (a.rows, b.columns);
        let kernel = Kernel::of((a, b));
        let part = |rows, columns| match kernel {
            Kernel::Dots => dots::run(self, columns),
            _ => blocked::run(self, rows, columns),
        };
        let work = match kernel {
            Kernel::Blocked => rows * a.columns * columns / PARALLEL_WORK,
            Kernel::Dots | Kernel::Streamed => a.columns * columns / PARALLEL_READS,
        };
        // Each thread packs all of the operand that is not shared: the smaller one.
        if kernel == Kernel::Blocked && rows > columns {
            share(work, rows, |rows| part(rows, 0..columns));
        } else {
            share(work, columns, |columns| part(0..rows, columns));
        }
    }
}

/// Rows or columns that two threads never share: a panel of the widest vectors.
const UNIT: usize = 32;

/// Calls `f` with parts of `0..size`, on at most `most` threads.
fn share(most: usize, size: usize, f: impl Fn(Range<usize>) + Sync) {
    let count = most.clamp(1, rayon::current_num_threads());
    let units = size.div_ceil(UNIT);
    let part = |i: usize| {
        let (start, end) = (units * i / count, units * (i + 1) / count);
        f(start * UNIT..size.min(end * UNIT));
    };
    on_threads(count, part);
}
