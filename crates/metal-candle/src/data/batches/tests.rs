use super::*;
use crate::data::batch::IGNORED;
use proptest::prelude::*;

/// Examples of the given lengths; example `i` holds the tokens `i + 1` and stands on line `i`.
fn examples(lengths: &[usize]) -> Examples {
    let example = |(line, &len): (usize, &usize)| Example {
        tokens: vec![line as u32 + 1; len],
        trained: (0..len).map(|t| t > 0).collect(),
        line,
        pair: None,
    };
    lengths.iter().enumerate().map(example).collect()
}

fn size(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn epoch(batches: &mut Batches<'_>) -> Vec<Batch> {
    let n_batches = batches.n_batches();
    let rows = batches.take(n_batches);
    rows.map(|rows| Batch::new(Arrangement::Padded, &rows))
        .collect()
}

#[test]
fn the_order_is_pinned() {
    // A saved position means this order: it may not change with a release.
    let rows = examples(&[2, 3, 4, 5, 6, 7, 8]);
    let mut batches = Batches::shuffled(&rows, size(2), 42);
    let lines: Vec<Vec<usize>> = epoch(&mut batches)
        .into_iter()
        .map(|batch| batch.lines)
        .collect();
    assert_eq!(lines, PINNED);
}

const PINNED: [&[usize]; 4] = [&[0, 1], &[6], &[4, 5], &[2, 3]];

#[test]
fn epochs_and_seeds_differ() {
    let rows = examples(&[5; 32]);
    let order = |seed| {
        let mut batches = Batches::shuffled(&rows, size(4), seed);
        [epoch(&mut batches), epoch(&mut batches)]
    };
    let [first, second] = order(0);
    assert_ne!(first, second);
    assert_ne!(first, order(1)[0]);
    assert_ne!(
        second,
        order(1)[0],
        "the second epoch of seed 0 is not the first of seed 1"
    );
}

#[test]
fn like_lengths_meet() {
    let lengths: Vec<usize> = (0..64).map(|i| 2 + (i * 37) % 64).collect();
    let rows = examples(&lengths);
    let padded = |batches: Vec<Batch>| {
        batches
            .iter()
            .map(|batch| batch.inputs.len())
            .sum::<usize>()
    };
    let real: usize = lengths.iter().map(|len| len - 1).sum();
    let bucketed = padded(epoch(&mut Batches::shuffled(&rows, size(4), 0)));
    assert!(
        bucketed < real * 6 / 5,
        "{bucketed} positions for {real} tokens"
    );
}

#[test]
fn a_sequential_pass_is_sorted_and_ends() {
    let rows = examples(&[5, 2, 4, 3]);
    let batches: Vec<Batch> = Batches::sequential(&rows, size(3))
        .laid_out(Arrangement::Padded)
        .collect();
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.lines.clone())
            .collect::<Vec<_>>(),
        [vec![1, 3, 2], vec![0]]
    );
}

#[test]
fn fewer_rows_than_a_batch_make_a_smaller_batch() {
    let rows = examples(&[3, 4]);
    let mut batches = Batches::shuffled(&rows, size(8), 0);
    assert_eq!(batches.n_batches(), 1);
    assert_eq!(batches.next().unwrap().len(), 2);
    assert_eq!(
        batches.cursor(),
        Cursor {
            epoch: 0,
            position: 1
        }
    );
    assert_eq!(batches.next().unwrap().len(), 2);
    assert_eq!(
        batches.cursor(),
        Cursor {
            epoch: 1,
            position: 1
        }
    );
}

#[test]
fn no_rows_give_no_batches() {
    assert!(
        Batches::shuffled(&Examples::default(), size(2), 0)
            .next()
            .is_none()
    );
    assert!(
        Batches::sequential(&Examples::default(), size(2))
            .next()
            .is_none()
    );
}

#[test]
fn a_cursor_beyond_the_data_is_an_error() {
    let rows = examples(&[3, 4, 5]);
    let mut batches = Batches::shuffled(&rows, size(2), 0);
    let error = batches
        .seek(Cursor {
            epoch: 0,
            position: 3,
        })
        .unwrap_err();
    assert!(matches!(
        error,
        Error::CursorOutOfRange {
            position: 3,
            n_batches: 2
        }
    ));
    assert!(
        batches
            .seek(Cursor {
                epoch: 7,
                position: 2
            })
            .is_ok()
    );
    batches.next();
    assert_eq!(
        batches.cursor(),
        Cursor {
            epoch: 8,
            position: 1
        }
    );
}

proptest! {
    #[test]
    fn every_row_is_in_exactly_one_batch_of_an_epoch(
        lengths in prop::collection::vec(2_usize..20, 1..60),
        batch_size in 1_usize..9,
        seed in any::<u64>(),
    ) {
        let rows = examples(&lengths);
        let mut batches = Batches::shuffled(&rows, size(batch_size), seed);
        let mut again = Batches::shuffled(&rows, size(batch_size), seed);
        for _ in 0..3 {
            let epoch = epoch(&mut batches);
            prop_assert!(epoch.iter().all(|batch| batch.lines.len() <= batch_size));
            prop_assert!(epoch.iter().filter(|batch| batch.lines.len() < batch_size).count() <= 1);
            let mut lines: Vec<usize> = epoch.iter().flat_map(|batch| batch.lines.clone()).collect();
            lines.sort_unstable();
            prop_assert_eq!(lines, (0..rows.len()).collect::<Vec<_>>());
            prop_assert_eq!(epoch, super::tests::epoch(&mut again));
        }
    }

    #[test]
    fn padding_is_never_trained(
        lengths in prop::collection::vec(1_usize..20, 1..30),
        batch_size in 1_usize..9,
    ) {
        let rows = examples(&lengths);
        for batch in Batches::sequential(&rows, size(batch_size)).laid_out(Arrangement::Padded) {
            let (n_rows, width) = batch.layout.dims();
            prop_assert_eq!(batch.inputs.len(), n_rows * width);
            prop_assert_eq!(batch.targets.len(), batch.inputs.len());
            let mut trained = 0;
            for (i, &line) in batch.lines.iter().enumerate() {
                for t in 0..width {
                    let at = i * width + t;
                    let is_real = t + 1 < rows.get(line).unwrap().tokens.len();
                    let expected = if is_real { line as i64 + 1 } else { IGNORED };
                    prop_assert_eq!(batch.targets[at], expected);
                    prop_assert_eq!(batch.inputs[at], if is_real { line as u32 + 1 } else { 0 });
                    trained += usize::from(is_real);
                }
            }
            prop_assert_eq!(batch.trained_tokens, trained);
        }
    }

    #[test]
    fn a_run_goes_on_where_it_stopped(
        n_rows in 1_usize..30,
        batch_size in 1_usize..5,
        seed in any::<u64>(),
        taken in 0_usize..40,
    ) {
        let rows = examples(&vec![3; n_rows]);
        let mut batches = Batches::shuffled(&rows, size(batch_size), seed);
        for _ in 0..taken { batches.next(); }
        let mut resumed = Batches::shuffled(&rows, size(batch_size), seed);
        resumed.seek(batches.cursor()).unwrap();
        for _ in 0..10 {
            prop_assert_eq!(batches.next(), resumed.next());
        }
    }
}
