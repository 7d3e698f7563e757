//! Products of matrices in host memory, which all operations share.
//!
//! `A` and `B` are read in any order and any float dtype but f64; sums and results are float32.
//! Which kernel computes a product depends on its sizes and on how the operands lie: few rows times
//! a matrix that is stored column after column are dot products (`dots.rs`), few rows times one that
//! is stored row after row read it as it is (`streamed.rs`), many rows times few columns read the
//! rows as they are (`narrow.rs`), everything else is multiplied in packed blocks (`blocked.rs`), of float32
//! or, where the processor has tiles, of bf16 (`amx/`). No bit of a result depends on the number of threads.

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx;
mod blocked;
mod blocks;
mod dots;
mod few;
mod fresh;
mod matrix;
mod narrow;
mod output;
mod pack;
mod ranges;
mod streamed;
mod tile;
mod transpose;

pub use blocks::{Blocks, FewRows};
pub use matrix::{Matrix, MatrixMut};

use crate::simd::{self, Level};
use crate::threads::{current_threads, on_threads};
use few::Few;
use output::Output;
use std::ops::Range;

/// Inner steps of a block: a tile of `A`, 28 KiB, fits the first cache, and of the result each element
/// is read and written once in so many steps.
pub const DEPTH: usize = 512;

/// Inner steps of a second term that the last block of the first one takes along.
pub const SECOND: usize = 64;

/// Multiplications of a block below which a second thread does not pay: some microseconds of work,
/// where handing it over takes one ([`on_threads`]).
const PARALLEL_WORK: usize = 1 << 18;

/// Multiplications below which a second thread does not pay where every element of an operand is read from
/// memory for a few of them.
const PARALLEL_READS: usize = 1 << 15;

/// Use that a product makes of the numbers that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Overwrites them, without a look.
    Write,
    /// Adds to them.
    Add,
}

/// One of the products whose sum is computed: `A`, `(M, K)`, and `B`, `(K, N)`.
pub type Term<'a> = (Matrix<'a>, Matrix<'a>);

/// `C = alpha * A B`, or `C += alpha * A B`.
pub fn product(c: MatrixMut<'_>, then: Then, alpha: f32, a: Matrix<'_>, b: Matrix<'_>) {
    sum_of_products(c, then, alpha, &[(a, b)]);
}

/// `alpha * A B` in fresh memory, row after row.
pub fn computed(alpha: f32, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    computed_batch(alpha, 1, |_| (a, b))
}

/// `alpha * A B` of `count` terms of the same sizes, one after the other in fresh memory.
pub fn computed_batch<'a>(alpha: f32, count: usize, term: impl Fn(usize) -> Term<'a>) -> Vec<f32> {
    if count == 0 {
        return vec![];
    }
    let (a, b) = term(0);
    let (rows, columns) = (a.rows, b.columns);
    fresh::filled(count * rows * columns, |memory| {
        let matrices = memory.chunks_mut((rows * columns).max(1));
        for (i, memory) in matrices.enumerate() {
            let c = MatrixMut::fresh(memory, rows, columns);
            sum_of_products(c, Then::Write, alpha, &[term(i)]);
        }
    })
}

/// `alpha * sum A B` over `terms`, one or two of them, in fresh memory.
pub fn computed_sum(alpha: f32, terms: &[Term<'_>]) -> Vec<f32> {
    let (rows, columns) = (terms[0].0.rows, terms[0].1.columns);
    fresh::filled(rows * columns, |memory| {
        let c = MatrixMut::fresh(memory, rows, columns);
        sum_of_products(c, Then::Write, alpha, terms);
    })
}

/// `C = alpha * sum A B`, or `C += alpha * sum A B`, over `terms`, one or two of them. A second term
/// with few inner steps, such as a low-rank update, costs no second pass over `C`.
pub fn sum_of_products(c: MatrixMut<'_>, then: Then, alpha: f32, terms: &[Term<'_>]) {
    product_at(simd::level(), c, then, alpha, terms);
}

/// [`sum_of_products`], computed at `level`, which tests choose.
pub fn product_at(level: Level, c: MatrixMut<'_>, then: Then, alpha: f32, terms: &[Term<'_>]) {
    assert!(
        terms.len() <= 2,
        "a block takes two terms, got {}",
        terms.len()
    );
    for (a, b) in terms {
        let sizes = (a.rows, a.columns, b.columns);
        assert_eq!(sizes, (c.rows, b.rows, c.columns), "sizes of a product");
    }
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let transposed: Vec<Term<'_>> = terms.iter().copied().map(transposed_term).collect();
    // Few columns are few rows of the transposed product.
    let transposes = Kernel::of(terms[0]) == Kernel::Blocked
        && (c.row_stride == 1 && c.column_stride != 1
            || Kernel::of(transposed[0]) != Kernel::Blocked);
    let (c, terms) = if transposes {
        (c.transposed(), &transposed[..])
    } else {
        (c, terms)
    };
    let output = Output::new(c, alpha);
    let run = |terms: &[Term<'_>], then| {
        let product = ProductSum {
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
pub fn transposed_term((a, b): Term<'_>) -> Term<'_> {
    (b.transposed(), a.transposed())
}

/// Ways to compute a product.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Few rows, and columns that lie densely.
    Dots,
    /// Few rows, and rows of `B` that lie densely.
    Streamed,
    /// Few columns, and many float32 rows or columns that lie densely.
    Narrow,
    /// Anything else.
    Blocked,
}

impl Kernel {
    fn of((a, b): Term<'_>) -> Self {
        if dots::takes(a, b) {
            Self::Dots
        } else if streamed::takes(a, b) {
            Self::Streamed
        } else if narrow::takes(a, b) {
            Self::Narrow
        } else {
            Self::Blocked
        }
    }
}

/// A sum of products, after its kernel was chosen.
struct ProductSum<'a> {
    level: Level,
    output: Output<'a>,
    then: Then,
    terms: &'a [Term<'a>],
}

impl ProductSum<'_> {
    fn run(&self) {
        let (a, b) = self.terms[0];
        let (rows, columns) = self.sizes();
        let readers = |elements: usize| threads(elements / PARALLEL_READS);
        match Kernel::of((a, b)) {
            Kernel::Blocked => {
                self.run_blocked(threads(rows * a.columns * columns / PARALLEL_WORK));
            }
            Kernel::Dots => {
                let few = Few::of(self);
                share(readers(b.rows * columns), columns, |part| match &few {
                    Some(few) => few.run(self, part),
                    None => dots::run(self, part),
                });
            }
            Kernel::Streamed => share(readers(b.rows * columns), columns, |part| {
                streamed::run(self, part);
            }),
            Kernel::Narrow => share(readers(a.columns * rows), rows, |part| {
                narrow::run(self, part);
            }),
        }
    }

    fn run_blocked(&self, threads: usize) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
        if amx::takes(self.level, self.terms[0]) {
            return blocked::run::<amx::Amx>(self, threads);
        }
        blocked::run::<blocked::Float32>(self, threads);
    }

    /// Rows and columns of the result.
    fn sizes(&self) -> (usize, usize) {
        (self.output.rows, self.output.columns)
    }
}

/// At most `most` threads, and one at least.
fn threads(most: usize) -> usize {
    most.clamp(1, current_threads())
}

/// Calls `f` with parts of `len` columns or rows, one for each of `threads`, of whole panels but the
/// last.
fn share(threads: usize, len: usize, f: impl Fn(Range<usize>) + Sync) {
    let panels = len.div_ceil(tile::UNIT_COLUMNS);
    let threads = threads.min(panels);
    on_threads(threads, threads, |i| {
        let [start, end] = [i, i + 1].map(|i| tile::UNIT_COLUMNS * (panels * i / threads));
        f(start..len.min(end));
    });
}
