//! Texts that hold already what the tokenizer puts around every text.

use std::ops::Range;

use super::error::Result;
use super::tokenizer::{Encoded, Tokenizer};

/// A text in tokens, between the special tokens that the tokenizer puts around every text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Token ids and their byte ranges.
    pub encoded: Encoded,
    /// The text begins with the token that the tokenizer puts before it; it is kept once.
    pub bos_was_doubled: bool,
    /// The text ends with the token that the tokenizer puts behind it; it is kept once.
    pub eos_was_doubled: bool,
}

impl Tokenizer {
    /// Token ids of `text` as [`encode`](Self::encode) gives them, but for a beginning or end that
    /// would stand there twice because the text was rendered before.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_plain(&self, text: &str) -> Result<Plain> {
        let mut encoded = self.encode_with_offsets(text, true)?;
        let bos_was_doubled = self.is_doubled(&encoded, 0, 1);
        if bos_was_doubled {
            remove(&mut encoded, 0);
        }
        let last = encoded.ids.len().wrapping_sub(1);
        let eos_was_doubled = self.is_doubled(&encoded, last, last.wrapping_sub(1));
        if eos_was_doubled {
            remove(&mut encoded, last);
        }
        Ok(Plain {
            encoded,
            bos_was_doubled,
            eos_was_doubled,
        })
    }

    /// Whether the token at `added` is special, stands for no part of the text, and is the one at
    /// `own`, which does.
    fn is_doubled(&self, encoded: &Encoded, added: usize, own: usize) -> bool {
        let (Some(id), Some(own_id)) = (encoded.ids.get(added), encoded.ids.get(own)) else {
            return false;
        };
        let is_empty = |at: usize| encoded.ranges.get(at).is_none_or(Range::is_empty);
        id == own_id && is_empty(added) && !is_empty(own) && self.is_special(*id)
    }
}

fn remove(encoded: &mut Encoded, at: usize) {
    encoded.ids.remove(at);
    encoded.ranges.remove(at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{byte_fallback_tokenizer, tokenizer};

    fn plain(tokenizer: &Tokenizer, text: &str) -> (Vec<u32>, bool, bool) {
        let plain = tokenizer.encode_plain(text).unwrap();
        assert_eq!(plain.encoded.ids.len(), plain.encoded.ranges.len());
        let Plain {
            bos_was_doubled,
            eos_was_doubled,
            ..
        } = plain;
        (plain.encoded.ids, bos_was_doubled, eos_was_doubled)
    }

    #[test]
    fn a_beginning_is_kept_once() {
        let tokenizer = byte_fallback_tokenizer();
        let once = tokenizer.encode("a").unwrap();
        assert_eq!(plain(&tokenizer, "a"), (once.clone(), false, false));
        assert!(plain(&tokenizer, "<s>a").1);
        let ids = plain(&tokenizer, "<s>a").0;
        assert_eq!(ids.iter().filter(|&&id| id == once[0]).count(), 1);
        // Alone, and where a person wrote it twice.
        assert_eq!(plain(&tokenizer, "<s>"), (vec![once[0]], true, false));
        assert_eq!(plain(&tokenizer, "<s><s>").0, [once[0]; 2]);
        assert_eq!(plain(&tokenizer, ""), (vec![once[0]], false, false));
    }

    #[test]
    fn a_tokenizer_that_adds_nothing_doubles_nothing() {
        let tokenizer = tokenizer(None);
        for text in ["<s><s>a", "a<|im_end|><|im_end|>", ""] {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(plain(&tokenizer, text), (ids, false, false), "{text}");
        }
    }
}
