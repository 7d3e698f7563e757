use super::*;
use crate::data::batches::Batches;
use crate::data::pair::Pair;
use crate::data::{Batch, Windows};
use crate::layout::Arrangement;
use std::num::NonZeroUsize;

/// Rows of many lengths, every fifth of which is a pair.
fn rows() -> Vec<Example> {
    let row = |i: u32| {
        let n = 2 + i * 7 % 41;
        let tokens: Vec<u32> = (i..i + n).collect();
        Example {
            trained: (0..n).map(|t| t > i % 3).collect(),
            pair: i.is_multiple_of(5).then(|| Pair {
                n_prompt: 1,
                rejected: tokens.iter().rev().copied().collect(),
            }),
            line: i as usize + 1,
            tokens,
        }
    };
    (0..300).map(row).collect()
}

fn within(bytes: usize) -> Examples {
    let mut examples = Examples::within(bytes);
    for row in rows() {
        examples.push(&row).unwrap();
    }
    examples
}

#[test]
fn rows_on_disk_are_those_in_memory() {
    let whole: Examples = rows().into_iter().collect();
    let n_whole = whole.store().resident_bytes();
    for bytes in [0, 100, 2000, usize::MAX] {
        let examples = within(bytes);
        let resident = examples.store().resident_bytes();
        if bytes <= 2000 {
            // A vector may double when it grows, and the last row is added before anything is written.
            assert!(resident <= 2 * (bytes + 4 * 100), "{resident} of {bytes}");
            assert!(resident * 5 < n_whole, "{resident} of {n_whole}");
        }
        assert_eq!(examples.first(1000).unwrap(), rows());
    }
}

/// Every step of three epochs, to the last number.
fn steps(examples: &Examples) -> Vec<Vec<Batch>> {
    let n = |n| NonZeroUsize::new(n).unwrap();
    let windows = Windows::new(examples, n(4), n(2), Arrangement::Packed, 7);
    windows.take(3 * 300 / 8).collect()
}

#[test]
fn steps_are_the_same_wherever_rows_lie() {
    let whole: Examples = rows().into_iter().collect();
    assert_eq!(steps(&within(1000)), steps(&whole));
    let odd = |examples: &Examples| examples.part(|index| index % 2 == 1);
    assert_eq!(steps(&odd(&within(1000))), steps(&odd(&whole)));
}

#[test]
fn a_row_that_cannot_be_read_again_ends_the_batches_and_is_told() {
    let examples = within(1000);
    let batches = || Batches::shuffled(&examples, NonZeroUsize::MIN, 0);
    assert_eq!(batches().take(300).count(), 300);
    examples.check().unwrap();
    examples.store().lose();
    assert!(batches().take(300).count() < 300);
    let error = examples.check().unwrap_err().to_string();
    assert!(error.starts_with("cannot read "), "{error}");
}
