use super::{FinishReason, Step};
use crate::data::{Result, StopStrings, TextStream, Tokenizer};

/// Text of one sequence as its tokens come: whole characters only, and up to a stop string.
///
/// Special tokens are not shown, but may be or hold a stop string.
pub struct Text<'a> {
    tokenizer: &'a Tokenizer,
    stream: TextStream<'a>,
    stops: StopStrings,
}

/// Piece that one step adds to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Text that can be shown now, often one word, sometimes nothing.
    pub text: String,
    /// Why the text ends here, if it does.
    pub finished: Option<FinishReason>,
}

impl<'a> Text<'a> {
    /// An empty text, which any of `stops` will end.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer, stops: &[String]) -> Self {
        Self {
            tokenizer,
            stream: TextStream::new(tokenizer),
            stops: StopStrings::new(stops.to_vec()),
        }
    }

    /// Takes the next step of the sequence. Nothing may follow a piece that ends the text.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn push(&mut self, step: &Step) -> Result<Piece> {
        let (checked, reason) = match step {
            Step::Token(token) if self.tokenizer.is_special(token.id) => {
                let hidden = self.tokenizer.decode_all(&[token.id])?;
                (self.stops.push_hidden(&hidden), None)
            }
            Step::Token(token) => (self.stops.push(&self.stream.push(token.id)?), None),
            Step::Finished(reason) => (self.stops.push(&self.stream.finish()?), Some(*reason)),
        };
        let mut text = checked.text;
        let finished = match checked.stop {
            Some(_) => Some(FinishReason::Stop),
            None => reason,
        };
        if checked.stop.is_none() && finished.is_some() {
            text.push_str(&self.stops.finish());
        }
        Ok(Piece { text, finished })
    }
}
