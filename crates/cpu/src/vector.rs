//! Loops over float32 slices a register at a time, for kernels that are generic over the
//! instruction set. The last register of a slice may hold fewer elements; its other lanes are zero
//! and reach neither memory nor a result.
#![allow(unsafe_code)]

pub mod streaming;
pub mod table;
pub mod whole;
pub mod widen;

use pulp::Simd;
use std::mem::{ManuallyDrop, MaybeUninit};

/// Registers that a fold keeps apart, to hide the latency of an addition.
const PARTS: usize = 4;

/// Writes `y = f(x)` for all lanes and gives `y` back as floats. All slices have one length.
#[inline(always)]
pub fn map<'y, S: Simd, const N: usize, const M: usize>(
    simd: S,
    x: [&[f32]; N],
    y: [&'y mut [MaybeUninit<f32>]; M],
    f: impl FnMut([S::f32s; N]) -> [S::f32s; M],
) -> [&'y mut [f32]; M] {
    map_into(simd, false, x, y, f)
}

/// [`map`], past the caches with `streaming` where that is possible: for results too large for
/// them, whose lines would be read from memory only to be overwritten. [`streaming::end`] has to
/// follow before another thread may read them.
#[inline(always)]
pub fn map_into<'y, S: Simd, const N: usize, const M: usize>(
    simd: S,
    streaming: bool,
    x: [&[f32]; N],
    mut y: [&'y mut [MaybeUninit<f32>]; M],
    mut f: impl FnMut([S::f32s; N]) -> [S::f32s; M],
) -> [&'y mut [f32]; M] {
    let len = same_length(x.iter().map(|x| x.len()).chain(y.iter().map(|y| y.len())));
    let whole = len / S::F32_LANES * S::F32_LANES;
    let possible = |y: &&mut [MaybeUninit<f32>]| streaming::is_possible::<S>(y.as_ptr().cast());
    if streaming && y.iter().all(possible) {
        // SAFETY: `whole <= len`, the length of every slice, and streaming is possible.
        unsafe { registers_of_map::<S, true, N, M>(x, &mut y, whole, &mut f) };
    } else {
        // SAFETY: `whole <= len`, the length of every slice.
        unsafe { registers_of_map::<S, false, N, M>(x, &mut y, whole, &mut f) };
    }
    if whole < len {
        let values = f(partial(simd, x, whole));
        for (y, value) in y.iter_mut().zip(values) {
            simd.partial_store_f32s(zeroed(&mut y[whole..]), value);
        }
    }
    each(
        y,
        #[inline(always)]
        // SAFETY: the loop wrote up to `whole`, the lines above the rest.
        |y| unsafe { written(y) },
    )
}

/// The registers of [`map_into`] up to `whole`, a multiple of `F32_LANES`.
///
/// # Safety
/// All slices must have `whole` elements; with `STREAMING`, it must be possible for every `y`.
#[inline(always)]
unsafe fn registers_of_map<S: Simd, const STREAMING: bool, const N: usize, const M: usize>(
    x: [&[f32]; N],
    y: &mut [&mut [MaybeUninit<f32>]; M],
    whole: usize,
    f: &mut impl FnMut([S::f32s; N]) -> [S::f32s; M],
) {
    for start in (0..whole).step_by(S::F32_LANES) {
        // SAFETY: `start + F32_LANES <= whole`, and the caller's.
        unsafe {
            let values = f(registers::<S, N>(x, start));
            for (y, value) in y.iter_mut().zip(values) {
                let y = y.as_mut_ptr().add(start).cast();
                match STREAMING {
                    true => streaming::store::<S>(y, value),
                    false => store::<S>(y, value),
                }
            }
        }
    }
}

/// `y = f(y, x)` for all lanes. All slices have one length.
#[inline(always)]
pub fn update<S: Simd, const N: usize, const M: usize>(
    simd: S,
    mut y: [&mut [f32]; M],
    x: [&[f32]; N],
    mut f: impl FnMut([S::f32s; M], [S::f32s; N]) -> [S::f32s; M],
) {
    let len = same_length(x.iter().map(|x| x.len()).chain(y.iter().map(|y| y.len())));
    let whole = len / S::F32_LANES * S::F32_LANES;
    for start in (0..whole).step_by(S::F32_LANES) {
        // SAFETY: `start + F32_LANES <= whole <= len`, the length of every slice.
        unsafe {
            let old = registers::<S, M>(each(y.each_ref(), |y| &**y), start);
            let values = f(old, registers::<S, N>(x, start));
            for (y, value) in y.iter_mut().zip(values) {
                store::<S>(y.as_mut_ptr().add(start), value);
            }
        }
    }
    if whole < len {
        let old = partial(simd, each(y.each_ref(), |y| &**y), whole);
        let values = f(old, partial(simd, x, whole));
        for (y, value) in y.iter_mut().zip(values) {
            simd.partial_store_f32s(&mut y[whole..], value);
        }
    }
}

/// `f` over all lanes from `start`, in `PARTS` interleaved parts that `join` makes one; the lanes
/// of the result are left to be reduced. All slices have one length.
#[inline(always)]
pub fn fold<S: Simd, const N: usize, const K: usize>(
    simd: S,
    x: [&[f32]; N],
    start: f32,
    f: impl Fn([S::f32s; K], [S::f32s; N]) -> [S::f32s; K],
    join: impl Fn(S::f32s, S::f32s) -> S::f32s,
) -> [S::f32s; K] {
    let len = same_length(x.iter().map(|x| x.len()));
    let whole = len / S::F32_LANES * S::F32_LANES;
    let many = len / (PARTS * S::F32_LANES) * (PARTS * S::F32_LANES);
    let mut parts = [[simd.splat_f32s(start); K]; PARTS];
    for first in (0..many).step_by(PARTS * S::F32_LANES) {
        for (i, part) in parts.iter_mut().enumerate() {
            // SAFETY: `first + PARTS * F32_LANES <= many <= len`, the length of every slice.
            *part = f(*part, unsafe {
                registers::<S, N>(x, first + i * S::F32_LANES)
            });
        }
    }
    for (i, first) in (many..whole).step_by(S::F32_LANES).enumerate() {
        // SAFETY: `first + F32_LANES <= whole <= len`, the length of every slice.
        parts[i] = f(parts[i], unsafe { registers::<S, N>(x, first) });
    }
    if whole < len {
        let last = f(parts[3], partial(simd, x, whole));
        let used = simd.mask_between_m32s(0, (len - whole) as u32).mask();
        for (part, last) in parts[3].iter_mut().zip(last) {
            *part = simd.select_f32s(used, last, *part);
        }
    }
    let [a, b, c, d] = parts;
    array(
        #[inline(always)]
        |k| join(join(a[k], b[k]), join(c[k], d[k])),
    )
}

/// # Safety
/// Every slice must have `F32_LANES` elements from `start` on.
#[inline(always)]
unsafe fn registers<S: Simd, const N: usize>(x: [&[f32]; N], start: usize) -> [S::f32s; N] {
    array(
        #[inline(always)]
        // SAFETY: the caller's.
        |k| unsafe { load::<S>(x[k].as_ptr().add(start)) },
    )
}

/// Less than a register of each slice, from `start` on.
#[inline(always)]
fn partial<S: Simd, const N: usize>(simd: S, x: [&[f32]; N], start: usize) -> [S::f32s; N] {
    array(
        #[inline(always)]
        |k| simd.partial_load_f32s(&x[k][start..]),
    )
}

/// `[f(0), f(1), ..]`. The compiler may leave `array::from_fn` and `array::map` functions of their
/// own, which have no vector instructions: every operation of `f` is then a call.
#[inline(always)]
pub fn array<T, const N: usize>(mut f: impl FnMut(usize) -> T) -> [T; N] {
    let mut values = [const { MaybeUninit::uninit() }; N];
    for (i, value) in values.iter_mut().enumerate() {
        value.write(f(i));
    }
    // SAFETY: all elements were written, and `MaybeUninit<T>` has the layout of `T`.
    unsafe { values.as_ptr().cast::<[T; N]>().read() }
}

/// `[f(x[0]), f(x[1]), ..]`, for the same reason.
#[inline(always)]
pub fn each<T, U, const N: usize>(x: [T; N], mut f: impl FnMut(T) -> U) -> [U; N] {
    let x = ManuallyDrop::new(x);
    array(
        #[inline(always)]
        // SAFETY: each element is moved out once, and none is dropped in its place.
        |i| f(unsafe { std::ptr::read(&raw const x[i]) }),
    )
}

/// # Safety
/// `F32_LANES` floats from `x` on must be readable.
#[inline(always)]
pub unsafe fn load<S: Simd>(x: *const f32) -> S::f32s {
    // SAFETY: the caller's; any bits are a register of floats.
    unsafe { x.cast::<S::f32s>().read_unaligned() }
}

/// # Safety
/// `F32_LANES` floats from `y` on must be writable.
#[inline(always)]
pub unsafe fn store<S: Simd>(y: *mut f32, value: S::f32s) {
    // SAFETY: the caller's.
    unsafe { y.cast::<S::f32s>().write_unaligned(value) }
}

/// Zeros written to `memory`, which is then a slice of floats.
#[inline(always)]
fn zeroed(memory: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    memory.fill(MaybeUninit::new(0.0));
    // SAFETY: all elements were written.
    unsafe { written(memory) }
}

/// `memory` as floats.
///
/// # Safety
/// Every element must have been written.
#[inline(always)]
pub unsafe fn written<T>(memory: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and the caller wrote all elements.
    unsafe { &mut *(std::ptr::from_mut(memory) as *mut [T]) }
}

/// The one length of all slices.
#[inline(always)]
fn same_length(mut lengths: impl Iterator<Item = usize>) -> usize {
    let first = lengths.next().unwrap_or(0);
    assert!(lengths.all(|len| len == first), "slices of several lengths");
    first
}
