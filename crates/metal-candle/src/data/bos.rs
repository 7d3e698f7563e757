//! The beginning-of-sequence token, once.

use super::error::Result;
use super::tokenizer::Tokenizer;

impl Tokenizer {
    /// Token ids of a text that no template has rendered, as [`encode`](Self::encode) gives them,
    /// and whether a second beginning-of-sequence token was taken away: a text that spells the
    /// token which the tokenizer puts before every text gets it once.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_plain(&self, text: &str) -> Result<(Vec<u32>, bool)> {
        let mut ids = self.encode(text)?;
        let bos = self.bos_token().map(|(_, id)| id);
        let doubled = bos.is_some() && ids.first().copied() == bos && ids.get(1).copied() == bos;
        if doubled {
            ids.remove(0);
        }
        Ok((ids, doubled))
    }
}
