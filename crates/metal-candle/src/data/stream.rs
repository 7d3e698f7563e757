//! Text as its tokens arrive, never half a character.

use super::error::Result;
use super::tokenizer::Tokenizer;

/// Tokens that may wait for the rest of a character. One of UTF-8 has four bytes at most; the more may wait, the longer
/// a row of spelt-out U+FFFD is that is told from broken bytes where a decoder looks at all bytes of a row at once.
const MAX_WAITING: usize = 32;

/// Tokens that a character can span.
const SPAN: usize = 4;

/// Text of token ids, piece by piece. The pieces together are what [`Tokenizer::decode`]
/// gives for all ids.
///
/// A token's text depends on its neighbours (a decoder strips the first blank, several tokens make
/// one character), so a short window is decoded twice, without and with the new tokens; what is new
/// is the difference. A window that ends in U+FFFD waits for the rest of the character, but not
/// longer than the longest character takes: the window stays short whatever the tokens are, and a
/// stream takes time in proportion to its tokens.
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
        // Decoding leaves it out before anything else.
        if self.tokenizer.is_special(id) {
            return Ok(String::new());
        }
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids)?;
        let waits_too_long = self.ids.len() - self.read > MAX_WAITING;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return match waits_too_long {
                false => Ok(String::new()),
                true => self.give_broken(&text),
            };
        }
        let new = self.new_text(&text)?;
        // Nothing new: the window must not move on to tokens that would then stand at its front and
        // lose their blank.
        if !new.is_empty() {
            self.move_on(self.ids.len());
        } else if waits_too_long {
            self.ids.remove(self.read);
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

    /// Gives the text of waiting tokens whose characters can no longer be completed. `text` is that
    /// of the window. It is cut where both sides decode alone to what they are together, so that no
    /// character is cut, and far enough from its end that one which ends there is complete.
    fn give_broken(&mut self, text: &str) -> Result<String> {
        for cut in (self.read + 1..=self.ids.len() - SPAN).rev() {
            let before = self.tokenizer.decode(&self.ids[..cut])?;
            let after = self.tokenizer.decode(&self.ids[cut..])?;
            if text.strip_prefix(&*before) == Some(&*after) {
                let new = self.new_text(&before)?;
                self.move_on(cut);
                return Ok(new);
            }
        }
        let new = self.new_text(text)?;
        self.move_on(self.ids.len());
        Ok(new)
    }

    /// Forgets what was printed before; the tokens up to `read` are printed now.
    fn move_on(&mut self, read: usize) {
        self.ids.drain(..self.read);
        self.read = read - self.read;
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
