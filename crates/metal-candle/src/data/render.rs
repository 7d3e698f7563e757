//! An example as a person can read it.

use super::error::Result;
use super::example::Example;
use super::tokenizer::Tokenizer;

/// Neighbouring tokens that are all trained or all not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskSpan {
    /// Their text, special tokens included.
    pub text: String,
    /// Their number.
    pub n_tokens: usize,
    /// Whether the loss counts them.
    pub trained: bool,
}

/// Splits an example into spans. Their texts together are the text of all its tokens.
///
/// # Errors
/// When the decoder fails.
pub fn mask_spans(example: &Example, tokenizer: &Tokenizer) -> Result<Vec<MaskSpan>> {
    let mut spans = Vec::new();
    let mut start = 0;
    let mut before = String::new();
    for group in example.trained.chunk_by(|a, b| a == b) {
        let end = start + group.len();
        // Decoded from the beginning, because decoders treat the first token differently.
        let so_far = tokenizer.decode_all(&example.tokens[..end])?;
        let text = match so_far.strip_prefix(&*before) {
            Some(text) => text.to_owned(),
            // The border runs through a character.
            None => tokenizer.decode_all(&example.tokens[start..end])?,
        };
        spans.push(MaskSpan {
            text,
            n_tokens: group.len(),
            trained: group[0],
        });
        before = so_far;
        start = end;
    }
    Ok(spans)
}

/// Text of each token, special tokens included: what it adds to that before it. Of a character that several tokens make,
/// each shows U+FFFD.
///
/// # Errors
/// When the decoder fails.
pub fn token_texts(ids: &[u32], tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let text = |i: usize| {
        let start = i.saturating_sub(1);
        let before = tokenizer.decode_all(&ids[start..i])?;
        let with_before = tokenizer.decode_all(&ids[start..=i])?;
        match with_before.strip_prefix(&*before) {
            Some(text) => Ok(text.to_owned()),
            None => tokenizer.decode_all(&ids[i..=i]),
        }
    };
    (0..ids.len()).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{byte_fallback_tokenizer, tokenizer};

    fn texts(ids: Vec<u32>, trained: &[bool], tokenizer: &Tokenizer) -> Vec<String> {
        let example = Example {
            tokens: ids,
            trained: trained.to_vec(),
            line: 1,
            pair: None,
        };
        mask_spans(&example, tokenizer)
            .unwrap()
            .into_iter()
            .map(|span| span.text)
            .collect()
    }

    #[test]
    fn only_the_first_run_loses_its_blank() {
        let tokenizer = byte_fallback_tokenizer();
        let ids = tokenizer.encode_raw("a a a").unwrap();
        assert_eq!(texts(ids, &[false, true, true], &tokenizer), ["a", " a a"]);
    }

    #[test]
    fn every_token_has_its_text() {
        let tokenizer = byte_fallback_tokenizer();
        let ids = tokenizer.encode_raw("a a b中").unwrap();
        let texts = token_texts(&ids, &tokenizer).unwrap();
        assert_eq!(texts.len(), ids.len());
        assert_eq!(texts.concat(), tokenizer.decode_all(&ids).unwrap());
        assert!(texts.contains(&" a".to_owned()), "{texts:?}");
    }

    #[test]
    fn a_border_inside_a_character_shows_broken_halves() {
        let tokenizer = tokenizer(None);
        let ids = tokenizer.encode_raw("é").unwrap();
        assert_eq!(
            texts(ids, &[false, true], &tokenizer),
            ["\u{FFFD}", "\u{FFFD}"]
        );
    }
}
