//! `Split`.

use metal_candle_mps::plan::Split;
use proptest::prelude::*;

/// Products of an adapter of rank 8: range, parts and threadgroups. docs/apple.md has them.
#[test]
fn an_adapters_products_fill_a_gpu() {
    let of = |[m, n, k]: [usize; 3]| {
        let split = Split::of([m, n, k])?;
        Some([split.range, split.parts, split.groups(m, n)])
    };
    assert_eq!(of([512, 8, 896]), Some([128, 7, 56]), "x A^T");
    assert_eq!(of([512, 8, 4864]), Some([608, 8, 64]), "x A^T of down");
    assert_eq!(of([8, 896, 512]), Some([128, 4, 56]), "dh^T x");
    assert_eq!(of([896, 8, 512]), Some([128, 4, 56]), "dy^T h");
    assert_eq!(
        of([8, 896, 4096]),
        Some([832, 5, 70]),
        "dh^T x of many tokens"
    );
}

#[test]
fn others_are_not_split() {
    for [m, n, k] in [
        // Many tiles, short sums, few rows, no thin side, a vector.
        [2048, 8, 896],
        [8, 4864, 512],
        [512, 8, 255],
        [512, 896, 8],
        [48, 8, 4864],
        [512, 512, 4864],
        [512, 1, 4864],
        [0, 8, 896],
    ] {
        assert_eq!(Split::of([m, n, k]), None, "{m} x {n} x {k}");
    }
}

proptest! {
    /// No step is left out or added twice, and no part is empty.
    #[test]
    fn ranges_are_the_whole_sum(thin in 2..33usize, long in 64..2049usize, k in 1..20_000usize, swap: bool) {
        let [m, n] = if swap { [long, thin] } else { [thin, long] };
        if let Some(Split { range, parts }) = Split::of([m, n, k]) {
            prop_assert!((2..=16).contains(&parts) && range % 32 == 0 && range >= 128);
            prop_assert!((parts - 1) * range < k && k <= parts * range);
        } else {
            prop_assert!(k < 256 || m.div_ceil(64) * n.div_ceil(64) >= 32);
        }
    }
}
