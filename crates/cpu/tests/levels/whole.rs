//! Products in whole numbers against float64.

use metal_candle_cpu::simd::{Level, dispatch_at};
use metal_candle_cpu::vector::whole::{BEHIND, Factors, Layout, ToWhole, Whole};

const ROWS: usize = 3;

/// Numbers between -1 and 1 without a pattern.
fn random(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(next).collect()
}

fn layouts() -> impl Iterator<Item = Layout> {
    let of_bits = |bits| [32, 64, 128].map(|group| Layout { bits, group });
    [2, 4].into_iter().flat_map(of_bits)
}

fn rows(level: Level, x: Vec<f32>, layout: Layout) -> Option<Whole> {
    let mut rows = dispatch_at(level, ToWhole { x: &[x], layout })?;
    rows.pop()
}

/// Code `index` of words.
fn code(words: &[u32], index: usize, bits: usize) -> u32 {
    words[index * bits / 32] >> (index * bits % 32) & ((1 << bits) - 1)
}

#[test]
fn products_are_those_of_float64() {
    for layout in layouts() {
        for n_groups in [1, 2, 3, 7, 38] {
            let n = n_groups * layout.group;
            let mut x = random(n, 1);
            // Groups of very different sizes, and one of zeros.
            for (i, group) in x.chunks_mut(layout.group).enumerate() {
                let size = [1.0, 1e-20, 0.0, 1e9][i % 4];
                group.iter_mut().for_each(|x| *x *= size);
            }
            let words = random(ROWS * n * layout.bits / 32, 2);
            let words: Vec<u32> = words
                .iter()
                .map(|word| word.to_bits().wrapping_mul(0x9E37_79B9))
                .collect();
            let (scales, offsets) = (random(ROWS * n_groups, 3), random(ROWS * n_groups, 4));
            let row = rows(Level::Scalar, x.clone(), layout).unwrap();
            let all: Vec<f32> = scales.iter().copied().chain([f32::NAN; BEHIND]).collect();
            let mut got = [f32::NAN; ROWS];
            let factors = Factors {
                scales: &all,
                offsets: &offsets,
            };
            row.dots(&words, factors, &mut got);
            for (j, got) in got.into_iter().enumerate() {
                let (mut want, mut most) = (0.0, 0.0);
                for (i, x) in x.iter().enumerate() {
                    let group = j * n_groups + i / layout.group;
                    let code = f64::from(code(&words, j * n + i, layout.bits));
                    let scaled = f64::from(scales[group]) * code;
                    want += (scaled + f64::from(offsets[group])) * f64::from(*x);
                    most += (scaled.abs() + f64::from(offsets[group]).abs()) * f64::from(x.abs());
                }
                assert!(
                    (f64::from(got) - want).abs() <= 2e-7 * most,
                    "{layout:?} {n_groups}: {got} {want} {most}"
                );
            }
        }
    }
}

/// Largest numbers up to the next power of two, for which three digits are not enough.
#[test]
fn the_largest_of_a_group_has_three_digits() {
    let layout = Layout { bits: 4, group: 32 };
    for largest in random(10_000, 6)
        .into_iter()
        .chain([0.999_999_9, -0.999_999_9, 3.3e38])
    {
        let mut x = vec![0.0; 32];
        x[5] = largest;
        let row = rows(Level::Scalar, x, layout).unwrap();
        let mut scales = [0.0; 1 + BEHIND];
        scales[0] = 1.0;
        let mut got = [0.0];
        let factors = Factors {
            scales: &scales,
            offsets: &[0.0],
        };
        row.dots(&[1 << 20; 4], factors, &mut got);
        assert!(
            (got[0] - largest).abs() <= 1.3e-7 * largest.abs(),
            "{} {largest}",
            got[0]
        );
    }
}

#[test]
fn rows_are_the_same_at_every_level() {
    for layout in layouts() {
        let x = random(5 * layout.group, 5);
        let want = format!("{:?}", rows(Level::Scalar, x.clone(), layout).unwrap());
        for level in Level::available() {
            assert_eq!(
                format!("{:?}", rows(level, x.clone(), layout).unwrap()),
                want,
                "{level}"
            );
        }
    }
}

#[test]
fn what_whole_numbers_cannot_say_is_left_to_floats() {
    let layout = Layout { bits: 4, group: 32 };
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-38] {
        let mut x = vec![0.0; 64];
        x[40] = wrong;
        for level in Level::available() {
            assert!(
                rows(level, x.clone(), layout).is_none(),
                "{wrong} at {level}"
            );
        }
    }
}
