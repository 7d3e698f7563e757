//! An example as a person can read it.

use super::error::Result;
use super::example::Example;
use super::tokenizer::Tokenizer;

/// Neighbouring tokens that are all trained or all not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Their text, special tokens included.
    pub text: String,
    /// Their number.
    pub n_tokens: usize,
    /// Whether the loss counts them.
    pub trained: bool,
}

/// Splits an example into runs. Their texts together are the text of all its tokens.
///
/// # Errors
/// When the decoder fails.
pub fn runs(example: &Example, tokenizer: &Tokenizer) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
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
        runs.push(Run {
            text,
            n_tokens: group.len(),
            trained: group[0],
        });
        before = so_far;
        start = end;
    }
    Ok(runs)
}
