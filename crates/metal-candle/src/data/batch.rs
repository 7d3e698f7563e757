//! Rows laid out for one pass through the model.

use super::example::Example;
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
}

impl Batch {
    /// Lays `examples` out, each a sequence of its own.
    pub fn new(arrangement: Arrangement, examples: &[&Example]) -> Self {
        let lengths: Vec<usize> = examples.iter().map(|e| n_inputs(e)).collect();
        let layout = Layout::new(arrangement, &lengths);
        let inputs = examples.iter().flat_map(|e| inputs(e));
        let targets = examples.iter().flat_map(|e| targets(e));
        Self {
            inputs: layout.lay(inputs, 0),
            targets: layout.lay(targets, IGNORED),
            layout,
            lines: examples.iter().map(|example| example.line).collect(),
            trained_tokens: examples.iter().map(|e| e.trained_tokens()).sum(),
        }
    }
}

/// Tokens before the last one that is trained.
fn n_inputs(example: &Example) -> usize {
    let last = example.trained.iter().rposition(|&trained| trained);
    last.unwrap_or(0)
}

fn inputs(example: &Example) -> impl Iterator<Item = u32> {
    example.tokens[..n_inputs(example)].iter().copied()
}

fn targets(example: &Example) -> impl Iterator<Item = i64> {
    let next = example.tokens.iter().zip(&example.trained).skip(1);
    let next = next.map(|(&id, &trained)| if trained { i64::from(id) } else { IGNORED });
    next.take(n_inputs(example))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> [Example; 2] {
        let long = Example {
            tokens: vec![5, 6, 7, 8, 9],
            trained: vec![false, false, true, true, false],
            line: 3,
        };
        let short = Example {
            tokens: vec![9, 10],
            trained: vec![false, true],
            line: 1,
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
    fn no_rows_make_an_empty_batch() {
        let batch = Batch::new(Arrangement::Padded, &[]);
        assert_eq!((batch.layout.dims(), batch.inputs.len()), ((0, 0), 0));
    }
}
