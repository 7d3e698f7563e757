//! Work shared among threads, where there is enough of it.

use rayon::prelude::*;

/// Elements below which one thread does all: handing work to a second costs about 25 microseconds
/// (two cores of a Xeon), in which one thread normalises 64 Ki elements or takes the softmax of
/// 16 Ki.
pub(crate) const PARALLEL_ELEMENTS: usize = if cfg!(miri) { 64 } else { 64 << 10 };

/// Elements that one thread takes at a time.
pub(crate) const TASK_ELEMENTS: usize = if cfg!(miri) { 16 } else { 8 << 10 };

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

/// Calls `f` with every task and with memory that the tasks of one thread share. `elements` says
/// how much work all tasks are, in elements of a loop over memory.
pub(crate) fn for_each_task<T: Send, M: Default>(
    tasks: Vec<T>,
    elements: usize,
    f: impl Fn(&mut M, T) + Sync,
) {
    if elements < PARALLEL_ELEMENTS || tasks.len() < 2 {
        let mut memory = M::default();
        return tasks.into_iter().for_each(|task| f(&mut memory, task));
    }
    let tasks = tasks.into_par_iter();
    tasks.for_each_init(M::default, |memory, task| f(memory, task));
}
