//! Work shared among threads, where there is enough of it.

use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

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

/// Calls `f` with every task and with memory that the tasks of one thread share. The tasks begin in
/// their order, so that a task may wait for one before it. `elements` says how much work all tasks
/// are, in elements of a loop over memory.
pub(crate) fn for_each_task<T: Send, M: Default>(
    tasks: Vec<T>,
    elements: usize,
    f: impl Fn(&mut M, T) + Sync,
) {
    let threads = match elements < PARALLEL_ELEMENTS {
        true => 1,
        false => rayon::current_num_threads().min(tasks.len()),
    };
    let tasks = Mutex::new(tasks.into_iter());
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut memory = M::default();
        while let Some(task) = next() {
            f(&mut memory, task);
        }
    };
    match threads {
        0 | 1 => work(),
        _ => {
            let threads = (0..threads).into_par_iter().with_max_len(1);
            threads.for_each(|_| work());
        }
    }
}
