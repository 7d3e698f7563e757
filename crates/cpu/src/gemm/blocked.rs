//! Large products, in blocks that fit the caches (Goto and van de Geijn 2008,
//! <https://doi.org/10.1145/1356052.1356053>).
//!
//! Of the operand with less to pack, all threads multiply the same block, which they pack together;
//! of the other each takes a block after the other and packs it for itself.

use super::output::Place;
use super::pack;
use super::ranges::blocks;
use super::transpose::BLOCK;
use super::{DEPTH, ProductSum, SECOND, Term, Then, tile};
use crate::simd::dispatch_at;
use crate::threads::{for_each_part, on_threads};
use pulp::{Simd, WithSimd};
use std::cell::{Cell, RefCell};
use std::ops::Range;

/// Rows of `A`, or columns of `B`, that all threads share: with [`DEPTH`], 2 MiB of the last cache.
const SHARED: usize = 1024;

/// Shared columns that all rows of a thread are multiplied with, before the next ones: half a MiB of
/// its second cache.
const PASS_COLUMNS: usize = 256;

/// What a thread packs for itself: 768 KiB of its second cache.
const OWN_FLOATS: usize = 192 << 10;

/// Memory to pack in, or for sums, which a thread keeps for all its products.
#[derive(Default)]
pub(super) struct Own {
    pub(super) a: Vec<f32>,
    pub(super) b: Vec<f32>,
}

thread_local! {
    /// Packed for all threads, of the products that this thread begins.
    static SHARED_BLOCK: Cell<Vec<f32>> = Cell::default();
    /// Packed for this thread, of the parts of any product that it multiplies.
    static OWN_BLOCKS: RefCell<Own> = RefCell::default();
}

pub(super) fn with_own_blocks(f: impl FnOnce(&mut Own)) {
    OWN_BLOCKS.with_borrow_mut(f);
}

/// Scheme by which blocks are packed, in lines of floats, and multiplied.
pub(super) trait Scheme {
    /// Inner steps of a block at most.
    const DEPTH: usize;

    /// Inner steps that belong together; a divisor of [`Scheme::DEPTH`].
    const STEPS: usize;

    /// Rows of `A`, or columns of `B`, of which whole ones are packed and multiplied alone.
    fn unit(side: Side) -> usize;

    /// Lines that so many rows or columns are packed as.
    fn lines(side: Side, count: usize) -> usize;

    /// Floats of a line.
    fn line(job: Job<'_>, side: Side) -> usize;

    /// Packs some rows or columns.
    fn pack(job: Job<'_>, side: Side, part: Range<usize>, to: &mut [f32]);

    /// Multiplies packed rows with packed columns, both from their first on.
    fn multiply(job: Job<'_>, rows: Range<usize>, columns: Range<usize>, a: &[f32], b: &[f32]);
}

/// Multiplications of float32.
pub(super) struct Float32;

impl Scheme for Float32 {
    const DEPTH: usize = DEPTH;
    const STEPS: usize = BLOCK;

    fn unit(side: Side) -> usize {
        match side {
            Side::Rows => tile::UNIT_ROWS,
            Side::Columns => tile::UNIT_COLUMNS,
        }
    }

    fn lines(side: Side, count: usize) -> usize {
        match side {
            Side::Rows => count,
            Side::Columns => count.next_multiple_of(tile::UNIT_COLUMNS),
        }
    }

    fn line(job: Job<'_>, _: Side) -> usize {
        steps(job.depth)
    }

    fn pack(job: Job<'_>, side: Side, part: Range<usize>, to: &mut [f32]) {
        dispatch_at(job.product.level, job.pack(side, part, to));
    }

    fn multiply(job: Job<'_>, rows: Range<usize>, columns: Range<usize>, a: &[f32], b: &[f32]) {
        dispatch_at(job.product.level, job.multiply(rows, columns, a, b));
    }
}

/// Computes a product on at most so many threads.
pub(super) fn run<T: Scheme>(product: &ProductSum<'_>, threads: usize) {
    let mut shared = SHARED_BLOCK.take();
    let (rows, columns) = product.sizes();
    for depth in depths(product.terms, T::DEPTH, T::STEPS) {
        let job = Job {
            product,
            depth: &depth,
            threads,
        };
        // Each thread packs its parts of the larger side.
        if rows > columns {
            for columns in blocks(&(0..columns), SHARED) {
                job.share_columns::<T>(columns, &mut shared);
            }
        } else {
            for rows in blocks(&(0..rows), SHARED) {
                job.share_rows::<T>(rows, &mut shared);
            }
        }
    }
    SHARED_BLOCK.set(shared);
}

/// Steps of the inner dimension of each of two terms.
type Depth = [Range<usize>; 2];

/// Blocks of the inner dimension, about equally deep, of whole `unit`s but the last. The last of the
/// first term takes the second term along where there is room. One without a step where there is none,
/// whose sums are zero.
fn depths(terms: &[Term<'_>], most: usize, unit: usize) -> impl Iterator<Item = Depth> + use<> {
    let first = terms[0].0.columns;
    let second = terms.get(1).map_or(0, |(a, _)| a.columns);
    let count = first.div_ceil(most).max(1);
    let step = first.div_ceil(count).next_multiple_of(unit);
    let last = first - (count - 1) * step;
    let taken = match last + second <= most + SECOND {
        true => second,
        false => 0,
    };
    let of_first = (0..count).map(move |i| {
        let is_last = i + 1 == count;
        let end = first.min((i + 1) * step);
        [i * step..end, 0..if is_last { taken } else { 0 }]
    });
    let rest = blocks(&(taken..second), most).map(move |range| [first..first, range]);
    of_first.chain(rest)
}

fn steps(depth: &Depth) -> usize {
    depth[0].len() + depth[1].len()
}

/// One block of the inner dimension.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) product: &'a ProductSum<'a>,
    pub(super) depth: &'a Depth,
    pub(super) threads: usize,
}

impl Job<'_> {
    fn share_rows<T: Scheme>(self, rows: Range<usize>, memory: &mut Vec<f32>) {
        let a = self.pack_shared::<T>(Side::Rows, &rows, memory);
        let columns = 0..self.product.sizes().1;
        self.for_each_own::<T>(Side::Columns, &columns, |columns, own| {
            let b = self.pack_own::<T>(Side::Columns, &columns, &mut own.b);
            T::multiply(self, rows.clone(), columns, a, b);
        });
    }

    fn share_columns<T: Scheme>(self, columns: Range<usize>, memory: &mut Vec<f32>) {
        let b = self.pack_shared::<T>(Side::Columns, &columns, memory);
        let rows = 0..self.product.sizes().0;
        self.for_each_own::<T>(Side::Rows, &rows, |rows, own| {
            let a = self.pack_own::<T>(Side::Rows, &rows, &mut own.a);
            for part in blocks(&columns, PASS_COLUMNS) {
                let first = (part.start - columns.start) * T::line(self, Side::Columns);
                T::multiply(self, rows.clone(), part, a, &b[first..]);
            }
        });
    }

    /// Some lines, packed by all threads.
    fn pack_shared<'m, T: Scheme>(
        self,
        side: Side,
        lines: &Range<usize>,
        memory: &'m mut Vec<f32>,
    ) -> &'m [f32] {
        let line = T::line(self, side);
        let to = aligned(memory, T::lines(side, lines.len()) * line);
        for_each_part(self.threads, to, T::unit(side) * line, |first, to| {
            let [first, count] = [first, to.len()].map(|n| n / line);
            let first = lines.start + first;
            T::pack(self, side, first..lines.end.min(first + count), to);
        });
        to
    }

    fn pack_own<'m, T: Scheme>(
        self,
        side: Side,
        lines: &Range<usize>,
        memory: &'m mut Vec<f32>,
    ) -> &'m [f32] {
        let len = T::lines(side, lines.len()) * T::line(self, side);
        let to = aligned(memory, len);
        T::pack(self, side, lines.clone(), to);
        to
    }

    /// Parts of the operand that is not shared, each of whole `unit`s and of about
    /// [`OWN_FLOATS`] at most, as many for each thread.
    fn for_each_own<T: Scheme>(
        self,
        side: Side,
        range: &Range<usize>,
        f: impl Fn(Range<usize>, &mut Own) + Sync,
    ) {
        let floats = range.len() * T::line(self, side);
        let parts = floats.div_ceil(OWN_FLOATS).max(1);
        let parts = parts.next_multiple_of(self.threads);
        let unit = T::unit(side);
        let units = range.len().div_ceil(unit);
        on_threads(self.threads, parts, |i| {
            let [start, end] = [i, i + 1].map(|i| range.start + unit * (units * i / parts));
            let part = start..end.min(range.end);
            if !part.is_empty() {
                with_own_blocks(|own| f(part, own));
            }
        });
    }
}

/// The first `len` numbers of memory that has as many, or is given them.
pub(super) fn grown(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    &mut memory[..len]
}

/// The first `len` numbers from the start of a line of the caches on, which registers and tiles are then
/// read from.
fn aligned(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    const LINE: usize = 16;
    let memory = grown(memory, len + LINE - 1);
    let bytes = LINE * size_of::<f32>();
    let first = (memory.as_ptr().addr().wrapping_neg() % bytes) / size_of::<f32>();
    &mut memory[first..first + len]
}

/// The side of a product that is packed.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// Rows of `A`, as tiles.
    Rows,
    /// Columns of `B`, as panels.
    Columns,
}

/// A part of a side, packed where it goes. Nothing but such a struct is compiled for a level: a
/// closure in between would not be.
pub(super) struct Pack<'a> {
    job: Job<'a>,
    side: Side,
    part: Range<usize>,
    data: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (steps, mut first) = (steps(self.job.depth), 0);
        for ((a, b), range) in self.job.product.terms.iter().zip(self.job.depth) {
            let data = &mut *self.data;
            let to = pack::Target { data, steps, first };
            let matrix = match self.side {
                Side::Rows => *a,
                Side::Columns => *b,
            };
            pack::copy(simd, self.side, matrix, &self.part, range, to);
            first += range.len();
        }
    }
}

/// Packed rows times packed panels, both from their first on.
pub(super) struct Multiply<'a> {
    job: Job<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            job,
            rows,
            columns,
            a,
            b,
        } = self;
        let (steps, output) = (steps(job.depth), &job.product.output);
        let (all, _) = S::as_simd_f32s(b);
        for tile in tile::rows::<S>(&rows) {
            let a = &a[(tile.start - rows.start) * steps..][..tile.len() * steps];
            let mut b = all;
            for panel in blocks(&columns, 2 * S::F32_LANES) {
                let vectors = panel.len().div_ceil(S::F32_LANES);
                let (panel_b, rest) = b.split_at(vectors * steps);
                b = rest;
                let place = job.place(tile.start, panel.start);
                match vectors {
                    2 => tile::multiply::<S, 2>(simd, tile.len(), a, panel_b, output, place),
                    _ => tile::multiply::<S, 1>(simd, tile.len(), a, panel_b, output, place),
                }
            }
        }
    }
}

impl<'a> Job<'a> {
    #[inline(always)]
    pub(super) fn pack<'p>(self, side: Side, part: Range<usize>, data: &'p mut [f32]) -> Pack<'p>
    where
        'a: 'p,
    {
        Pack {
            job: self,
            side,
            part,
            data,
        }
    }

    #[inline(always)]
    pub(super) fn multiply<'p>(
        self,
        rows: Range<usize>,
        columns: Range<usize>,
        a: &'p [f32],
        b: &'p [f32],
    ) -> Multiply<'p>
    where
        'a: 'p,
    {
        Multiply {
            job: self,
            rows,
            columns,
            a,
            b,
        }
    }

    /// Where a part of the result begins, and what is done with the numbers there.
    #[inline(always)]
    pub(super) fn place(&self, row: usize, column: usize) -> Place {
        let [first, second] = self.depth;
        let is_first = first.start == 0 && (second.start == 0 || second.is_empty());
        let then = match is_first {
            true => self.product.then,
            false => Then::Add,
        };
        Place { row, column, then }
    }
}
