//! Results in memory that nobody has written before: zeros in it would be a pass of their own.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// `len` numbers, all of which `write` writes.
pub(super) fn filled(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    // The memory that the tests' allocator gives is NaN, so that an element left out shows.
    write(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: `write` has written all elements, which is what a product with `Then::Write` does.
    unsafe { values.set_len(len) };
    values
}
