//! Rows side by side, padded to one length.

use super::example::Example;

/// The target of a position that the loss skips, as in PyTorch's `cross_entropy`.
pub const IGNORED: i64 = -100;

/// What one step trains on. Matrices are row-major, `(n_rows, n_tokens)`.
///
/// The input at position `t` of a row is its token `t`, the target its token `t + 1`. Rows are
/// padded on the right: under causal attention no real position sees the padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Rows.
    pub n_rows: usize,
    /// Length of the longest row, less one.
    pub n_tokens: usize,
    /// Token ids; padding is token 0.
    pub inputs: Vec<u32>,
    /// Token ids, or [`IGNORED`] where nothing is trained.
    pub targets: Vec<i64>,
    /// Line of each row in its file.
    pub lines: Vec<usize>,
    /// Targets that are not [`IGNORED`].
    pub trained_tokens: usize,
}

impl Batch {
    /// Pads `examples` to the longest of them.
    pub fn new(examples: &[&Example]) -> Self {
        let n_tokens = examples
            .iter()
            .map(|example| n_inputs(example))
            .max()
            .unwrap_or(0);
        let mut batch = Self {
            n_rows: examples.len(),
            n_tokens,
            inputs: Vec::with_capacity(examples.len() * n_tokens),
            targets: Vec::with_capacity(examples.len() * n_tokens),
            lines: examples.iter().map(|example| example.line).collect(),
            trained_tokens: examples
                .iter()
                .map(|example| example.trained_tokens())
                .sum(),
        };
        for (i, example) in examples.iter().enumerate() {
            batch.push_row(example, (i + 1) * n_tokens);
        }
        batch
    }

    fn push_row(&mut self, example: &Example, padded_len: usize) {
        self.inputs.extend(&example.tokens[..n_inputs(example)]);
        self.inputs.resize(padded_len, 0);
        let next = example.tokens.iter().zip(&example.trained).skip(1);
        self.targets
            .extend(next.map(|(&id, &trained)| if trained { i64::from(id) } else { IGNORED }));
        self.targets.resize(padded_len, IGNORED);
    }
}

fn n_inputs(example: &Example) -> usize {
    example.tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_next_tokens_where_trained() {
        let long = Example {
            tokens: vec![5, 6, 7, 8],
            trained: vec![false, false, true, true],
            line: 3,
        };
        let short = Example {
            tokens: vec![9, 10],
            trained: vec![false, true],
            line: 1,
        };
        let batch = Batch::new(&[&long, &short]);
        assert_eq!((batch.n_rows, batch.n_tokens), (2, 3));
        assert_eq!(batch.inputs, [5, 6, 7, 9, 0, 0]);
        assert_eq!(batch.targets, [IGNORED, 7, 8, 10, IGNORED, IGNORED]);
        assert_eq!(batch.lines, [3, 1]);
        assert_eq!(batch.trained_tokens, 3);
    }

    #[test]
    fn no_rows_make_an_empty_batch() {
        let batch = Batch::new(&[]);
        assert_eq!(
            (batch.n_rows, batch.n_tokens, batch.inputs.len()),
            (0, 0, 0)
        );
    }
}
