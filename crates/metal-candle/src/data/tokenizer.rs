//! A Hugging Face tokenizer with its special tokens and chat template, read from a model's folder.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::json::{Json, without_nulls};
use super::special_tokens::SpecialTokens;
use super::template::{Conversation, Message};
use super::templates::Templates;
use crate::files;

/// Text to token ids and back, conversations to text.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    folder: PathBuf,
    special: SpecialTokens,
    templates: Templates,
    variables: Map<String, Value>,
}

/// Token ids, and for each the bytes of the text it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Byte ranges in the text. A special token that the tokenizer added has the range `0..0`; a
    /// tokenizer that leaves blanks out of its ranges gives a token of blanks the empty range at
    /// its end.
    pub ranges: Vec<Range<usize>>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, and where they exist `tokenizer_config.json`,
    /// `special_tokens_map.json` and the chat template (`chat_template.jinja` before the one in
    /// `tokenizer_config.json`).
    ///
    /// # Errors
    /// With the file, when it cannot be read or does not hold what it should.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let config_path = folder.join("tokenizer_config.json");
        let config = read_object(&config_path)?;
        let map = read_object(&folder.join("special_tokens_map.json"))?;
        let tokenizer = Self {
            inner: read_tokenizer(&folder.join("tokenizer.json"))?,
            folder: folder.to_owned(),
            special: SpecialTokens::read(&config, &map),
            templates: Templates::read(folder, &config_path, &config)?,
            variables: Map::new(),
        };
        tokenizer.check_eos(&config_path)?;
        Ok(tokenizer)
    }

    /// Sets variables of the chat template (`--chat-template-config`), e.g. `{"enable_thinking":
    /// false}`.
    #[must_use]
    pub fn with_template_config(mut self, variables: Map<String, Value>) -> Self {
        self.variables = variables;
        self
    }

    /// The folder the tokenizer was read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Token ids of `text`, with the special tokens that the tokenizer puts around every text.
    ///
    /// # Errors
    /// When the tokenizer fails, e.g. on a character that it can spell in no way.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, true)
    }

    /// Token ids of `text` and nothing else: for rendered chat templates, which write their special
    /// tokens themselves.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_raw(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    /// Token ids and byte ranges of `text`; `add_special_tokens` tells [`encode`](Self::encode)
    /// from
    /// [`encode_raw`](Self::encode_raw).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with_offsets(&self, text: &str, add_special_tokens: bool) -> Result<Encoded> {
        let encoding = self
            .inner
            .encode(text, add_special_tokens)
            .map_err(Error::tokenizer)?;
        Ok(Encoded {
            ids: encoding.get_ids().to_vec(),
            ranges: encoding
                .get_offsets()
                .iter()
                .map(|&(start, end)| start..end)
                .collect(),
        })
    }

    /// The text of `ids` without special tokens. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// When the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(Error::tokenizer)
    }

    /// The text of `ids`, special tokens included.
    ///
    /// # Errors
    /// When the decoder fails.
    pub fn decode_all(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(Error::tokenizer)
    }

    /// The end-of-sequence token and its id.
    pub fn eos_token(&self) -> Option<(String, u32)> {
        self.special_token("eos_token")
    }

    /// The beginning-of-sequence token and its id.
    pub fn bos_token(&self) -> Option<(String, u32)> {
        self.special_token("bos_token")
    }

    /// The padding token and its id.
    pub fn pad_token(&self) -> Option<(String, u32)> {
        self.special_token("pad_token")
    }

    /// How many tokens the tokenizer knows, added ones included. A model's table is often larger.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a token.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as the vocabulary spells it.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether [`decode`](Self::decode) leaves this token out.
    pub fn is_special(&self, id: u32) -> bool {
        let added = self.inner.get_added_vocabulary();
        added
            .get_added_tokens_decoder()
            .get(&id)
            .is_some_and(|token| token.special)
    }

    /// Whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        !self.templates.is_empty()
    }

    /// The text of the chat template that a conversation with or without tools is rendered with.
    pub(super) fn template_source(&self, has_tools: bool) -> Option<&str> {
        self.templates.source(has_tools)
    }

    /// Renders a conversation with the chat template: the one named `tool_use` when there are
    /// `tools` and it exists, else `default`. `add_generation_prompt` ends it with the header of
    /// the assistant's turn.
    ///
    /// # Errors
    /// [`Error::NoChatTemplate`]; those of [`ChatTemplate::render`](super::ChatTemplate::render).
    pub fn apply_chat_template(
        &self,
        messages: &[Message],
        tools: Option<&[Json]>,
        add_generation_prompt: bool,
    ) -> Result<String> {
        self.apply_chat_template_with(messages, tools, add_generation_prompt, &Map::new())
    }

    /// [`apply_chat_template`](Self::apply_chat_template) with further variables for this
    /// conversation only; they win over those of
    /// [`with_template_config`](Self::with_template_config).
    ///
    /// # Errors
    /// As [`apply_chat_template`](Self::apply_chat_template).
    pub fn apply_chat_template_with(
        &self,
        messages: &[Message],
        tools: Option<&[Json]>,
        add_generation_prompt: bool,
        variables: &Map<String, Value>,
    ) -> Result<String> {
        let Some(template) = self.templates.choose(tools.is_some())? else {
            return Err(Error::NoChatTemplate {
                folder: self.folder.clone(),
            });
        };
        let mut all = self.special.variables().clone();
        for (name, value) in self.variables.iter().chain(variables) {
            all.insert(name.clone(), value.clone());
        }
        template.render(
            Conversation {
                messages: &without_nulls(messages),
                tools,
                add_generation_prompt,
            },
            &all,
        )
    }

    fn ids(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, add_special_tokens)
            .map_err(Error::tokenizer)?;
        Ok(encoding.get_ids().to_vec())
    }

    fn special_token(&self, role: &str) -> Option<(String, u32)> {
        let token = self.special.get(role)?;
        Some((token.to_owned(), self.token_to_id(token)?))
    }

    /// Training appends this token: one that has no id would be left out without a word.
    fn check_eos(&self, config_path: &Path) -> Result<()> {
        match self.special.get("eos_token") {
            Some(token) if self.token_to_id(token).is_none() => {
                let reason =
                    format!("eos_token {token:?} is not in the vocabulary of tokenizer.json");
                Err(Error::config(config_path, reason))
            }
            _ => Ok(()),
        }
    }
}

fn read_tokenizer(path: &Path) -> Result<tokenizers::Tokenizer> {
    let text = files::read_text(path)?;
    let parsed = text.parse::<tokenizers::Tokenizer>();
    let mut inner =
        parsed.map_err(|error| Error::config(path, format!("not a tokenizer: {error}")))?;
    // A file may carry the truncation and padding of whoever saved it; neither belongs to the
    // tokenizer.
    inner.with_padding(None);
    inner.with_truncation(None).map_err(Error::tokenizer)?;
    Ok(inner)
}

/// The object in a JSON file; empty when there is no such file.
fn read_object(path: &Path) -> Result<Map<String, Value>> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    serde_json::from_str(&files::read_text(path)?)
        .map_err(|error| Error::config(path, format!("expected a JSON object: {error}")))
}

#[cfg(test)]
mod tests;
