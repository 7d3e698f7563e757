//! Texts of single tokens, and log probabilities as replies tell them.

use metal_candle::data::Tokenizer;
use metal_candle::generate::Token;
use serde_json::{Map, Value, json};

/// Texts of single tokens of one tokenizer.
pub struct Words<'a> {
    tokenizer: &'a Tokenizer,
}

/// Token that others are decoded behind, and its text: some decoders take the blank from the beginning of a text.
type Before = Option<(u32, String)>;

/// A token with its log probability.
pub struct Word {
    id: u32,
    text: String,
    logprob: f32,
}

/// A token that was chosen, and those that were the most likely ones in its place.
pub struct Chosen {
    word: Word,
    top: Vec<Word>,
}

impl<'a> Words<'a> {
    /// The words of `tokenizer`.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer }
    }

    /// The token with its log probabilities, where they were asked for.
    pub fn chosen(&self, token: &Token) -> Option<Chosen> {
        let logprobs = token.logprobs.as_ref()?;
        let before = self.before();
        let word = |id, logprob| Word {
            id,
            text: self.text(id, &before),
            logprob,
        };
        let top = logprobs.top.iter();
        Some(Chosen {
            word: word(token.id, logprobs.chosen),
            top: top.map(|(id, logprob)| word(*id, *logprob)).collect(),
        })
    }

    fn before(&self) -> Before {
        let ids = self.tokenizer.encode_raw("a").ok()?;
        let id = *ids.last()?;
        Some((id, self.tokenizer.decode_all(&[id]).ok()?))
    }

    fn text(&self, id: u32, before: &Before) -> String {
        let decoded = |ids: &[u32]| self.tokenizer.decode_all(ids).unwrap_or_default();
        let behind = before.as_ref().and_then(|(before, text)| {
            let both = decoded(&[*before, id]);
            both.strip_prefix(text.as_str()).map(String::from)
        });
        behind.unwrap_or_else(|| decoded(&[id]))
    }
}

impl Word {
    /// The word as a chat has it; bytes of a token that is part of a character alone are not told.
    fn told(&self) -> Map<String, Value> {
        let is_whole = !self.text.contains(char::REPLACEMENT_CHARACTER);
        let bytes = is_whole.then_some(self.text.as_bytes());
        let told =
            json!({"id": self.id, "token": self.text, "logprob": self.logprob, "bytes": bytes});
        told.as_object().cloned().unwrap_or_default()
    }
}

/// `logprobs` of a choice of a chat.
pub fn of_chat(chosen: &[Chosen]) -> Value {
    let content = chosen.iter().map(|chosen| {
        let top: Vec<_> = chosen.top.iter().map(Word::told).collect();
        let mut told = chosen.word.told();
        told.insert("top_logprobs".into(), json!(top));
        told
    });
    json!({"content": content.collect::<Vec<_>>()})
}

/// `logprobs` of a choice of a completion, whose tokens begin at the character `offset` of the text.
pub fn of_completion(chosen: &[Chosen], mut offset: usize) -> Value {
    let offsets = chosen.iter().map(|chosen| {
        let begin = offset;
        offset += chosen.n_chars();
        begin
    });
    let offsets: Vec<usize> = offsets.collect();
    let words = || chosen.iter().map(|chosen| &chosen.word);
    let top = chosen.iter().map(|chosen| {
        let top = chosen.top.iter();
        top.map(|word| (word.text.clone(), json!(word.logprob)))
            .collect::<Map<_, _>>()
    });
    json!({
        "tokens": words().map(|word| &word.text).collect::<Vec<_>>(),
        "token_logprobs": words().map(|word| word.logprob).collect::<Vec<_>>(),
        "top_logprobs": top.collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}

impl Chosen {
    /// Length of the token's text in characters.
    pub fn n_chars(&self) -> usize {
        self.word.text.chars().count()
    }
}
