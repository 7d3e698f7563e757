//! Text as its tokens arrive, never half a character.

use super::error::Result;
use super::tokenizer::Tokenizer;

/// Turns token ids into text piece by piece. The pieces together are what [`Tokenizer::decode`]
/// gives for all ids.
///
/// A token's text depends on its neighbours (a decoder strips the first blank, several tokens make
/// one character), so a short window is decoded twice, without and with the new tokens; what is new
/// is the difference. A window that ends in U+FFFD waits for the rest of the character.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The ids of the window: `read` of them have been printed, the others wait.
    ids: Vec<u32>,
    read: usize,
}

impl<'a> TextStream<'a> {
    /// A stream at the beginning of a text.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            ids: Vec::new(),
            read: 0,
        }
    }

    /// Takes the next token; gives the text that can be printed now, often one word, sometimes
    /// nothing.
    ///
    /// # Errors
    /// When the decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let new = self.new_text(&text)?;
        // Nothing new: the window must not move on to tokens that would then stand at its front and
        // lose their blank.
        if !new.is_empty() {
            self.ids.drain(..self.read);
            self.read = self.ids.len();
        }
        Ok(new)
    }

    /// Ends the text: gives what is still held back, broken characters as U+FFFD.
    ///
    /// # Errors
    /// When the decoder fails.
    pub fn finish(&mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.ids)?;
        let new = self.new_text(&text)?;
        self.ids.clear();
        self.read = 0;
        Ok(new)
    }

    /// What `text`, the decoded window, has beyond what was printed.
    fn new_text(&self, text: &str) -> Result<String> {
        let printed = self.tokenizer.decode(&self.ids[..self.read])?;
        match text.strip_prefix(&*printed) {
            Some(new) => Ok(new.to_owned()),
            // A broken byte can spoil the bytes before it, which are printed already.
            None => self.tokenizer.decode(&self.ids[self.read..]),
        }
    }
}

#[cfg(test)]
mod tests;
