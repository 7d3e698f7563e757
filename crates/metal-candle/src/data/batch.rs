//! Rows laid out for one pass through the model.

use std::borrow::Borrow;
use std::ops::Range;

use super::example::Example;
use super::pair::Pair;
use crate::layout::{Arrangement, Layout};

/// The target of a position that the loss skips, as in PyTorch's `cross_entropy`.
pub const IGNORED: i64 = -100;

/// Tokens that one step trains on.
///
/// The input at position `t` of a row is its token `t`, the target its token `t + 1`. What follows
/// the last target of a row is left out: under causal attention it changes no loss.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Where the tokens of each row stand.
    pub layout: Layout,
    /// Token ids of every place of the layout; padding is token 0.
    pub inputs: Vec<u32>,
    /// Token ids, or [`IGNORED`] where nothing is trained.
    pub targets: Vec<i64>,
    /// Line of each row in its file.
    pub lines: Vec<usize>,
    /// Targets that are not [`IGNORED`].
    pub trained_tokens: usize,
    /// Where the completions of each row stand, if rows are pairs; these are two sequences behind each other.
    pub pairs: Vec<PairPlaces>,
}

/// Places of the targets of a pair, counted through all places of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPlaces {
    /// The prompt with the better completion.
    pub preferred: Range<usize>,
    /// The better completion.
    pub chosen: Range<usize>,
    /// The worse completion.
    pub rejected: Range<usize>,
}

impl Batch {
    /// Lays `examples` out, each a sequence of its own, or two where it is a pair.
    pub fn new(arrangement: Arrangement, examples: &[impl Borrow<Example>]) -> Self {
        let examples: Vec<&Example> = examples.iter().map(Borrow::borrow).collect();
        let sequences: Vec<Sequence> = examples.iter().flat_map(|e| sequences(e)).collect();
        let lengths: Vec<usize> = sequences.iter().map(|s| s.targets.len()).collect();
        let layout = Layout::new(arrangement, &lengths);
        let inputs = sequences.iter().flat_map(|s| s.inputs.iter().copied());
        let targets = sequences.iter().flat_map(|s| s.targets.iter().copied());
        Self {
            inputs: layout.lay(inputs, 0),
            targets: layout.lay(targets, IGNORED),
            pairs: pairs(&layout, &examples),
            layout,
            lines: examples.iter().map(|example| example.line).collect(),
            trained_tokens: examples.iter().map(|e| e.trained_tokens()).sum(),
        }
    }
}

/// Tokens before the last one that is trained, and what comes next.
struct Sequence<'a> {
    inputs: &'a [u32],
    targets: Vec<i64>,
}

impl<'a> Sequence<'a> {
    fn new(tokens: &'a [u32], is_trained: impl Fn(usize) -> bool) -> Self {
        let last = (0..tokens.len()).rposition(&is_trained).unwrap_or(0);
        let target = |i| {
            if is_trained(i) {
                i64::from(tokens[i])
            } else {
                IGNORED
            }
        };
        Self {
            inputs: &tokens[..last],
            targets: (1..=last).map(target).collect(),
        }
    }
}

fn sequences(example: &Example) -> impl Iterator<Item = Sequence<'_>> {
    let own = Sequence::new(&example.tokens, |i| example.trained.get(i) == Some(&true));
    let rejected = example.pair.as_ref().map(|Pair { n_prompt, rejected }| {
        // Nothing predicts the first token.
        Sequence::new(rejected, |i| i >= (*n_prompt).max(1))
    });
    std::iter::once(own).chain(rejected)
}

fn pairs(layout: &Layout, examples: &[&Example]) -> Vec<PairPlaces> {
    let mut spans = layout.spans().map(|(place, span)| place..place + span.len);
    let place = |example: &&Example| {
        let preferred = spans.next()?;
        let pair = example.pair.as_ref()?;
        let rejected = spans.next()?;
        let completion = |whole: &Range<usize>| {
            let n_prompt = pair.n_prompt.saturating_sub(1);
            (whole.start + n_prompt).min(whole.end)..whole.end
        };
        Some(PairPlaces {
            chosen: completion(&preferred),
            rejected: completion(&rejected),
            preferred,
        })
    };
    examples.iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> [Example; 2] {
        let long = Example {
            tokens: vec![5, 6, 7, 8, 9],
            trained: vec![false, false, true, true, false],
            line: 3,
            pair: None,
        };
        let short = Example {
            tokens: vec![9, 10],
            trained: vec![false, true],
            line: 1,
            pair: None,
        };
        [long, short]
    }

    #[test]
    fn targets_are_the_next_tokens_where_trained() {
        let batch = Batch::new(Arrangement::Padded, &examples().each_ref());
        assert_eq!(batch.layout.dims(), (2, 3));
        assert_eq!(batch.inputs, [5, 6, 7, 9, 0, 0]);
        assert_eq!(batch.targets, [IGNORED, 7, 8, 10, IGNORED, IGNORED]);
        assert_eq!(batch.lines, [3, 1]);
        assert_eq!(batch.trained_tokens, 3);
    }

    #[test]
    fn packed_rows_have_no_padding() {
        let batch = Batch::new(Arrangement::Packed, &examples().each_ref());
        assert_eq!(batch.layout.dims(), (1, 4));
        assert_eq!(batch.inputs, [5, 6, 7, 9]);
        assert_eq!(batch.targets, [IGNORED, 7, 8, 10]);
    }

    #[test]
    fn a_pair_is_two_sequences() {
        let pair = |line, trained: &[bool]| Example {
            tokens: vec![5, 6, 7, 8],
            trained: trained.to_vec(),
            line,
            pair: Some(Pair {
                n_prompt: 2,
                rejected: vec![5, 6, 9],
            }),
        };
        let masked = pair(2, &[false, false, true, true]);
        let whole = pair(4, &[false, true, true, true]);
        let batch = Batch::new(Arrangement::Padded, &[&masked, &whole]);
        assert_eq!(batch.layout.dims(), (4, 3));
        assert_eq!(batch.inputs, [5, 6, 7, 5, 6, 0, 5, 6, 7, 5, 6, 0]);
        let rejected = [IGNORED, 9, IGNORED];
        assert_eq!(batch.targets[..3], [IGNORED, 7, 8]);
        assert_eq!(batch.targets[6..9], [6, 7, 8]);
        assert_eq!(
            (&batch.targets[3..6], &batch.targets[9..]),
            (&rejected[..], &rejected[..])
        );
        assert_eq!((batch.lines, batch.trained_tokens), (vec![2, 4], 7));
        let places = |preferred, chosen, rejected| PairPlaces {
            preferred,
            chosen,
            rejected,
        };
        assert_eq!(
            batch.pairs,
            [places(0..3, 1..3, 4..5), places(6..9, 7..9, 10..11)]
        );
        let packed = Batch::new(Arrangement::Packed, &[&masked, &whole]);
        assert_eq!(
            packed.pairs,
            [places(0..3, 1..3, 4..5), places(5..8, 6..8, 9..10)]
        );
    }

    #[test]
    fn no_rows_make_an_empty_batch() {
        let batch = Batch::new(Arrangement::Padded, &[] as &[Example]);
        assert_eq!((batch.layout.dims(), batch.inputs.len()), ((0, 0), 0));
    }
}
