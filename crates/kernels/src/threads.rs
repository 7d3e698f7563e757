//! Rows of a result, shared among threads.

use rayon::prelude::*;

/// Elements below which one thread is faster than waking others: about 20 microseconds of a loop
/// over memory, a few times what it costs rayon to start.
pub(crate) const PARALLEL_ELEMENTS: usize = 32 << 10;

/// Elements that one thread takes at a time.
pub(crate) const TASK_ELEMENTS: usize = 8 << 10;

/// Calls `f` with the index of every row of `out` and the row.
pub(crate) fn for_each_row(out: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let width = width.max(1);
    if out.len() < PARALLEL_ELEMENTS {
        let rows = out.chunks_exact_mut(width).enumerate();
        return rows.for_each(|(i, row)| f(i, row));
    }
    let rows = out.par_chunks_exact_mut(width).enumerate();
    rows.with_min_len(TASK_ELEMENTS.div_ceil(width))
        .for_each(|(i, row)| f(i, row));
}

/// Calls `f` with the index of every row and that row of both results, which have equally many.
pub(crate) fn for_each_row_of_two(
    (a, a_width): (&mut [f32], usize),
    (b, b_width): (&mut [f32], usize),
    f: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let (a_width, b_width) = (a_width.max(1), b_width.max(1));
    if a.len() < PARALLEL_ELEMENTS {
        let rows = a.chunks_exact_mut(a_width).zip(b.chunks_exact_mut(b_width));
        return rows.enumerate().for_each(|(i, (a, b))| f(i, a, b));
    }
    let rows = a.par_chunks_exact_mut(a_width);
    rows.zip(b.par_chunks_exact_mut(b_width))
        .with_min_len(TASK_ELEMENTS.div_ceil(a_width))
        .enumerate()
        .for_each(|(i, (a, b))| f(i, a, b));
}
