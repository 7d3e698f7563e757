//! Rules by which tokens of a row are trained.

use super::example::Example;

/// Rule by which tokens of a row are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// All tokens of a row, or with a masked prompt those of every turn of the assistant's.
    #[default]
    Standard,
    /// The rule of mlx-lm 0.32.2 (`tuner/datasets.py`, and `default_loss` of `tuner/trainer.py`): with a masked prompt
    /// what is behind the prompt of the last message, to the end of the row; and, masked or not, the first token of the
    /// padding, whose id is 0. A row that fills `max_seq_length` has no padding.
    MlxLm,
    /// Rows are pairs of completions, all of whose tokens are trained, and without a masked prompt the prompt of the
    /// better one as well.
    Pairs,
}

/// Token id that mlx-lm pads rows with.
const PADDING: u32 = 0;

impl Convention {
    /// The part of a row that is trained, where the prompt is masked or not.
    pub(super) fn mask(self, mask_prompt: bool) -> Mask {
        match (mask_prompt, self) {
            (_, Self::Pairs) => Mask::Pairs {
                trains_prompt: !mask_prompt,
            },
            (false, _) => Mask::Nothing,
            (true, Self::Standard) => Mask::AllButTurns,
            (true, Self::MlxLm) => Mask::AllButLastMessage,
        }
    }

    /// Adds the target that the rule has behind a row that was cut to `max_seq_length`.
    pub(super) fn close(self, example: &mut Example, max_seq_length: usize) {
        let is_padded = example.tokens.len() < max_seq_length;
        if self == Self::MlxLm && is_padded && example.trained.contains(&true) {
            example.tokens.push(PADDING);
            example.trained.push(true);
        }
    }
}

/// Part of a row that is not trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mask {
    /// All tokens are trained.
    Nothing,
    /// Every turn of the assistant's is trained, or the completion.
    AllButTurns,
    /// The last message is trained, whoever says it, or the completion.
    AllButLastMessage,
    /// Both completions of a pair are trained.
    Pairs {
        /// Whether the prompt of the better one is trained.
        trains_prompt: bool,
    },
}

impl From<bool> for Mask {
    fn from(mask_prompt: bool) -> Self {
        Convention::Standard.mask(mask_prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(convention: Convention, trained: &[bool], max_seq_length: usize) -> Vec<u32> {
        let mut example = Example {
            tokens: (5..).take(trained.len()).collect(),
            trained: trained.to_vec(),
            line: 1,
            pair: None,
        };
        convention.close(&mut example, max_seq_length);
        assert_eq!(example.tokens.len(), example.trained.len());
        example.tokens
    }

    #[test]
    fn the_first_token_of_padding_is_trained() {
        assert_eq!(closed(Convention::MlxLm, &[false, true], 3), [5, 6, 0]);
        assert_eq!(closed(Convention::MlxLm, &[false, true], 2), [5, 6]);
        assert_eq!(closed(Convention::MlxLm, &[false, false], 3), [5, 6]);
        assert_eq!(closed(Convention::Standard, &[false, true], 3), [5, 6]);
    }
}
