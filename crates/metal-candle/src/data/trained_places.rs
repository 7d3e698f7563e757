use super::example::Example;
use crate::layout::{Arrangement, Layout};
use std::borrow::Borrow;

/// Rows laid out for a pass in which something is asked about the tokens that are trained, and not about what comes before
/// them, as in a [`super::Batch`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrainedPlaces {
    /// Where the tokens of each row stand.
    pub layout: Layout,
    /// Token ids of every place of the layout; padding is token 0.
    pub tokens: Vec<u32>,
    /// Places of the tokens that are trained, counted through all places of the layout.
    pub places: Vec<u32>,
}

impl TrainedPlaces {
    /// Lays `examples` out, each a sequence of its own, or two where it is a pair, up to its last trained token.
    pub fn new(arrangement: Arrangement, examples: &[impl Borrow<Example>]) -> Self {
        let sequences = examples.iter().flat_map(|e| sequences(e.borrow()));
        let sequences: Vec<(&[u32], Vec<bool>)> = sequences.collect();
        let lengths: Vec<usize> = sequences.iter().map(|(tokens, _)| tokens.len()).collect();
        let layout = Layout::new(arrangement, &lengths);
        let tokens = sequences.iter().flat_map(|(tokens, _)| tokens.iter());
        let trained = sequences.iter().flat_map(|(_, trained)| trained.iter());
        let trained = layout.lay(trained.copied(), false).into_iter();
        let places = (0..).zip(trained).filter(|(_, trained)| *trained);
        Self {
            tokens: layout.lay(tokens.copied(), 0),
            places: places.map(|(place, _)| place).collect(),
            layout,
        }
    }

    /// The first token alone.
    #[must_use]
    pub fn first_token(&self) -> Self {
        Self {
            layout: Layout::new(Arrangement::Padded, &[1]),
            tokens: self.tokens.first().copied().into_iter().collect(),
            places: vec![],
        }
    }
}

/// Tokens of an example, and whether each is trained.
fn sequences(example: &Example) -> impl Iterator<Item = (&[u32], Vec<bool>)> {
    let own = (&example.tokens[..], example.trained.clone());
    let rejected = example.pair.as_ref().map(|pair| {
        let n_prompt = pair.n_prompt.max(1);
        let trained = (0..pair.rejected.len()).map(|i| i >= n_prompt);
        (&pair.rejected[..], trained.collect())
    });
    [own].into_iter().chain(rejected).map(cut)
}

/// A sequence without what follows its last trained token.
fn cut((tokens, mut trained): (&[u32], Vec<bool>)) -> (&[u32], Vec<bool>) {
    let end = trained
        .iter()
        .rposition(|trained| *trained)
        .map_or(0, |last| last + 1);
    let end = end.min(tokens.len());
    trained.truncate(end);
    (&tokens[..end], trained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Pair;

    #[test]
    fn places_are_those_of_trained_tokens() {
        let example = |tokens: &[u32], trained: &[bool]| Example {
            tokens: tokens.to_vec(),
            trained: trained.to_vec(),
            line: 1,
            pair: None,
        };
        let long = example(&[5, 6, 7, 8, 9], &[false, false, true, true, false]);
        let mut pair = example(&[1, 2, 3], &[false, true, true]);
        pair.pair = Some(Pair {
            n_prompt: 1,
            rejected: vec![1, 4],
        });
        let padded = TrainedPlaces::new(Arrangement::Padded, &[&long, &pair]);
        assert_eq!(padded.tokens, [5, 6, 7, 8, 1, 2, 3, 0, 1, 4, 0, 0]);
        assert_eq!(padded.places, [2, 3, 5, 6, 9]);
        let packed = TrainedPlaces::new(Arrangement::Packed, &[&long, &pair]);
        assert_eq!(packed.tokens, [5, 6, 7, 8, 1, 2, 3, 1, 4]);
        assert_eq!(packed.places, [2, 3, 5, 6, 8]);
        assert_eq!(packed.first_token().tokens, [5]);
    }
}
