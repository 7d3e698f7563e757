//! An example as numbers of 32 bits: its line in two, the length of its prompt and of its tokens, the tokens, their mask in
//! bits, and the worse completion.

use crate::data::example::Example;
use crate::data::pair::Pair;

/// Numbers before the tokens.
const HEAD: usize = 4;

/// Length of the prompt of an example that is no pair.
const ALONE: u32 = u32::MAX;

/// Bits of a mask in one number.
const BITS: usize = u32::BITS as usize;

/// The numbers of an example.
pub(super) fn packed(example: &Example) -> Vec<u32> {
    let line = example.line as u64;
    let n_prompt = example
        .pair
        .as_ref()
        .map_or(ALONE, |pair| pair.n_prompt as u32);
    let mut words = vec![
        line as u32,
        (line >> BITS) as u32,
        n_prompt,
        example.tokens.len() as u32,
    ];
    words.extend(&example.tokens);
    words.extend(example.trained.chunks(BITS).map(bits));
    words.extend(example.pair.iter().flat_map(|pair| &pair.rejected));
    words
}

/// The example that numbers are of.
pub(super) fn unpacked(words: &[u32]) -> Example {
    let line = u64::from(words[0]) | u64::from(words[1]) << BITS;
    let (n_prompt, n_tokens) = (words[2], words[3] as usize);
    let (tokens, rest) = words[HEAD..].split_at(n_tokens);
    let (mask, rejected) = rest.split_at(n_tokens.div_ceil(BITS));
    Example {
        tokens: tokens.to_vec(),
        trained: (0..n_tokens)
            .map(|i| mask[i / BITS] >> (i % BITS) & 1 == 1)
            .collect(),
        line: line as usize,
        pair: (n_prompt != ALONE).then(|| Pair {
            n_prompt: n_prompt as usize,
            rejected: rejected.to_vec(),
        }),
    }
}

fn bits(trained: &[bool]) -> u32 {
    let bits = trained.iter().enumerate();
    bits.fold(0, |word, (i, trained)| word | u32::from(*trained) << i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_comes_back() {
        for n_tokens in [0, 1, 31, 32, 33, 100] {
            let alone = Example {
                tokens: (0..n_tokens).map(|i| i * 40_000_000).collect(),
                trained: (0..n_tokens).map(|i| i % 3 == 1).collect(),
                line: 5_000_000_000,
                pair: None,
            };
            let pair = Example {
                pair: Some(Pair {
                    n_prompt: 0,
                    rejected: vec![7, u32::MAX],
                }),
                ..alone.clone()
            };
            for example in [alone, pair] {
                assert_eq!(unpacked(&packed(&example)), example);
            }
        }
    }
}
