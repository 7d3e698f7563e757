//! A Hugging Face tokenizer with its special tokens and chat template, read from a model's folder or GGUF file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::added_tokens::{self, Beside};
use super::error::{Error, Result};
use super::json::{Json, without_nulls};
use super::special_tokens::SpecialTokens;
use super::template::{Conversation, Message};
use super::templates::Templates;
use crate::panics::quietly;
use sources::Sources;

mod file;
mod gguf;
mod grow;
mod growth;
mod sources;
mod unused;

pub use sources::has_tokenizer_files;

/// Text to token ids and back, conversations to text.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    folder: PathBuf,
    special: SpecialTokens,
    /// `tokenizer_config.json` as it was read.
    config: Map<String, Value>,
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
    /// `special_tokens_map.json`, `added_tokens.json` and the chat template (`chat_template.jinja`
    /// before the one in `tokenizer_config.json`). Tokens that only the files beside
    /// `tokenizer.json` know are added as transformers 5 adds them. Where `path` is a GGUF file, what its metadata
    /// describe.
    ///
    /// # Errors
    /// With the file, when it cannot be read or does not hold what it should;
    /// [`Error::OtherTokenizer`] and [`Error::NoTokenizer`] when there is no `tokenizer.json`.
    pub fn from_folder(path: &Path) -> Result<Self> {
        Self::read(&Sources::of_model(path)?)
    }

    /// Reads the files that lie beside an adapter, and those of its `model` for what is not there:
    /// trainers save a tokenizer with tokens and a chat template that the model's lacks.
    ///
    /// # Errors
    /// As [`from_folder`](Self::from_folder).
    pub fn from_adapter(adapter: &Path, model: &Path) -> Result<Self> {
        Self::read(&Sources::of_adapter(adapter, model)?)
    }

    fn read(sources: &Sources) -> Result<Self> {
        let (path, text) = sources.tokenizer()?;
        let mut inner = file::parse(&path, &text)?;
        let (config_path, config) = sources.config()?;
        let (_, map) = sources.object("special_tokens_map.json")?;
        let (added_path, added) = sources.object("added_tokens.json")?;
        let special = SpecialTokens::read(&config, &map);
        let beside = Beside {
            config: (&config_path, &config),
            added: (&added_path, &added),
        };
        added_tokens::add(&mut inner, &beside, &special)?;
        if config.get("split_special_tokens").and_then(Value::as_bool) == Some(true) {
            inner.set_encode_special_tokens(true);
        }
        unused::tell_conflicts(&config_path, &config, &map, &special);
        let tokenizer = Self {
            inner,
            folder: sources.path().to_owned(),
            special,
            config,
            templates: sources.templates()?,
            variables: Map::new(),
        };
        unused::tell(&tokenizer, &config_path, &tokenizer.config);
        Ok(tokenizer)
    }

    /// Sets variables of the chat template (`--chat-template-config`), e.g. `{"enable_thinking":
    /// false}`.
    #[must_use]
    pub fn with_template_config(mut self, variables: Map<String, Value>) -> Self {
        self.variables = variables;
        self
    }

    /// Takes `source` for the chat template of every conversation, in place of those that were read (`--chat-template`).
    ///
    /// # Errors
    /// When it does not compile.
    pub fn with_chat_template(mut self, source: &str) -> Result<Self> {
        self.templates = Templates::one(source)?;
        Ok(self)
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
        let encoding = guarded(|| self.inner.encode(text, add_special_tokens))?;
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
        self.text(ids, true)
    }

    /// The text of `ids`, special tokens included.
    ///
    /// # Errors
    /// When the decoder fails.
    pub fn decode_all(&self, ids: &[u32]) -> Result<String> {
        self.text(ids, false)
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

    /// The largest token id and one: what a model's table needs. Larger than
    /// [`vocab_size`](Self::vocab_size) where ids are left out.
    pub fn n_ids(&self) -> usize {
        let vocab = self.inner.get_vocab(true);
        vocab.into_values().max().map_or(0, |id| id as usize + 1)
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
        let token = added
            .simple_id_to_token(id)
            .or_else(|| self.inner.id_to_token(id));
        token.is_some_and(|token| added.is_special_token(&token))
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
        let encoding = guarded(|| self.inner.encode_fast(text, add_special_tokens))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Nothing is nothing, whatever the decoder: some of them count on a first token.
    fn text(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        match ids {
            [] => Ok(String::new()),
            ids => guarded(|| self.inner.decode(ids, skip_special_tokens)),
        }
    }

    fn is_bpe(&self) -> bool {
        matches!(self.inner.get_model(), tokenizers::ModelWrapper::BPE(_))
    }

    fn special_token(&self, role: &str) -> Option<(String, u32)> {
        let token = self.special.get(role)?;
        Some((token.to_owned(), self.token_to_id(token)?))
    }
}

/// What a function of the tokenizers crate gives; a panic in it, which some files bring about, is an
/// error.
pub(super) fn guarded<T>(f: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match quietly(f) {
        Ok(result) => result.map_err(Error::tokenizer),
        Err(panic) => Err(Error::Tokenizer(format!(
            "it cannot work with this file: {panic}"
        ))),
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
