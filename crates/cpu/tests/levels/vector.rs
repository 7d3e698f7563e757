//! Loops over slices of every length, and of every start where they stream.
#![allow(unsafe_code)]

use metal_candle_cpu::simd::{Level, dispatch_at};
use metal_candle_cpu::vector::{fold, map, map_into, streaming, update, written};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Sums of neighbouring slices, in fresh memory and in place.
struct Sums<'a> {
    a: &'a [f32],
    b: &'a [f32],
    fresh: &'a mut [MaybeUninit<f32>],
    in_place: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        map(
            simd,
            [self.a, self.b],
            [self.fresh],
            #[inline(always)]
            |[a, b]| [simd.add_f32s(a, b)],
        );
        update(
            simd,
            [self.in_place],
            [self.a],
            #[inline(always)]
            |[y], [a]| [simd.add_f32s(y, a)],
        );
        let [sum] = fold(
            simd,
            [self.b],
            0.0,
            #[inline(always)]
            |[sum], [b]| [simd.add_f32s(sum, b)],
            #[inline(always)]
            |a, b| simd.add_f32s(a, b),
        );
        simd.reduce_sum_f32s(sum)
    }
}

#[test]
fn loops_of_every_length_keep_to_their_slices() {
    // Beyond a round of the loops: of 16 lanes, and of the 8 that an interpreter sees.
    const MOST: usize = if cfg!(miri) { 70 } else { 150 };
    let numbers: Vec<f32> = (0..400).map(|i| i as f32).collect();
    for level in Level::available() {
        for len in 0..MOST {
            // Boxes of the length itself: an access beyond one is outside of an allocation.
            let a: Box<[f32]> = numbers[..len].into();
            let b: Box<[f32]> = numbers[len..2 * len].into();
            let mut in_place = b.clone();
            let mut fresh: Box<[f32]> = vec![f32::NAN; len].into();
            let want: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
            let sum = dispatch_at(
                level,
                Sums {
                    a: &a,
                    b: &b,
                    // SAFETY: the same memory; nothing is written but floats.
                    fresh: unsafe { &mut *(&raw mut *fresh as *mut [MaybeUninit<f32>]) },
                    in_place: &mut in_place,
                },
            );
            assert_eq!(sum, b.iter().sum::<f32>(), "{level}, {len}");
            assert_eq!(
                (&*fresh, &*in_place),
                (&want[..], &want[..]),
                "{level}, {len}"
            );
        }
    }
}

/// Twice `x`, past the caches.
struct Streamed<'a> {
    x: &'a [f32],
    y: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Streamed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        map_into(
            simd,
            true,
            [self.x],
            [self.y],
            #[inline(always)]
            |[x]| [simd.add_f32s(x, x)],
        );
        streaming::end();
    }
}

#[test]
fn streams_to_slices_of_every_start_and_length() {
    #[repr(align(64))]
    struct Lines([MaybeUninit<f32>; 128]);
    let x: Vec<f32> = (0..128).map(|i| i as f32).collect();
    for level in Level::available() {
        let starts = (0..=16).step_by(if cfg!(miri) { 8 } else { 1 });
        for (start, len) in starts.flat_map(|start| (0..70).map(move |len| (start, len))) {
            let mut lines = Lines([MaybeUninit::new(f32::NAN); 128]);
            let y = &mut lines.0[start..start + len];
            dispatch_at(level, Streamed { x: &x[..len], y });
            // SAFETY: all of it was written above.
            let lines = unsafe { written(&mut lines.0) };
            for (i, y) in lines.iter().enumerate() {
                let x = i.checked_sub(start).filter(|&i| i < len);
                let want = x.map_or(f32::NAN, |i| 2.0 * i as f32);
                assert_eq!(y.to_bits(), want.to_bits(), "{level}, {start}, {len}: {i}");
            }
        }
    }
}
