//! Work shared among threads, where there is enough of it.

mod awake;
mod nested;
mod parts;

pub use nested::current_threads;
pub use parts::on_threads;

use std::sync::{Mutex, PoisonError};

/// Elements below which one thread does all: some microseconds of work of a loop over memory, where
/// handing over half of it takes one ([`on_threads`]).
pub const PARALLEL_ELEMENTS: usize = if cfg!(miri) { 64 } else { 8 << 10 };

/// Elements that one thread takes at a time.
pub const TASK_ELEMENTS: usize = if cfg!(miri) { 16 } else { 4 << 10 };

/// Calls `f` with the index of every row of `out` and the row.
pub fn for_each_row(out: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let (width, elements) = (width.max(1), out.len());
    let rows = TASK_ELEMENTS.div_ceil(width);
    let tasks = out.chunks_mut(rows * width).enumerate().collect();
    for_each_task(tasks, elements, |_: &mut (), (task, out)| {
        for (i, row) in (task * rows..).zip(out.chunks_exact_mut(width)) {
            f(i, row);
        }
    });
}

/// Calls `f` with parts of `data`, each of whole `unit`s, and the index of their first element.
pub fn for_each_part<T: Send>(
    threads: usize,
    data: &mut [T],
    unit: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let unit = unit.max(1);
    let len = data.len().div_ceil(unit).div_ceil(threads).max(1) * unit;
    let tasks = (0..).step_by(len).zip(data.chunks_mut(len)).collect();
    share(threads, tasks, |_: &mut (), (first, part)| f(first, part));
}

/// Calls `f` with every task and with memory that the tasks of one thread share. The tasks begin in
/// their order, so that a task may wait for one before it. `elements` says how much work all tasks
/// are, in elements of a loop over memory.
pub fn for_each_task<T: Send, M: Default>(
    tasks: Vec<T>,
    elements: usize,
    f: impl Fn(&mut M, T) + Sync,
) {
    let threads = match elements < PARALLEL_ELEMENTS {
        true => 1,
        false => current_threads(),
    };
    share(threads, tasks, f);
}

fn share<T: Send, M: Default>(threads: usize, tasks: Vec<T>, f: impl Fn(&mut M, T) + Sync) {
    let threads = threads.min(tasks.len());
    let tasks = Mutex::new(tasks.into_iter());
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    on_threads(threads, threads, |_| {
        let mut memory = M::default();
        while let Some(task) = next() {
            f(&mut memory, task);
        }
    });
}
