//! A tokenizer as metadata of a GGUF file, as llama.cpp's converter writes them.

use super::Tokenizer;
use crate::data::error::{Error, Result};
use crate::gguf::Writer;
use crate::gguf::tokenizer::{PreTokenizer, pre_tokenizers};
use serde_json::Value;
use std::collections::HashMap;

/// Kinds of tokens (`llama_token_type`).
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

impl Tokenizer {
    /// Adds the tokenizer of a model of `vocab_size` tokens.
    ///
    /// # Errors
    /// When llama.cpp has no such tokenizer, or it has more tokens than the model.
    pub fn add_to_gguf(&self, writer: &mut Writer<'_>, vocab_size: usize) -> Result<()> {
        let json = serde_json::to_value(&*self.inner)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        let model = &json["model"];
        if model["type"] != "BPE" {
            return Err(self.not_written(format!("its model is {}", model["type"])));
        }
        let tokens = self.tokens(vocab_size)?;
        let is_pieces = model["byte_fallback"] == true;
        writer.text(
            "tokenizer.ggml.model",
            if is_pieces { "llama" } else { "gpt2" },
        );
        match is_pieces {
            true => {
                writer.text("tokenizer.ggml.pre", "default");
                writer.f32s("tokenizer.ggml.scores", &scores(&tokens, &merges(model)));
                writer.flag("tokenizer.ggml.add_space_prefix", self.adds_blank());
            }
            false => {
                writer.text("tokenizer.ggml.pre", self.cut(&json)?);
                let merges = merges(model);
                let merges: Vec<String> = merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
                writer.texts("tokenizer.ggml.merges", merges.iter().map(String::as_str));
            }
        }
        writer.texts("tokenizer.ggml.tokens", tokens.iter().map(String::as_str));
        writer.i32s("tokenizer.ggml.token_type", &self.kinds(&tokens, model));
        self.add_roles(writer)
    }

    /// Tokens by their ids; ids that have none are filled.
    fn tokens(&self, vocab_size: usize) -> Result<Vec<String>> {
        let mut tokens: Vec<String> = (0..vocab_size).map(|id| format!("[PAD{id}]")).collect();
        for (token, id) in self.inner.get_vocab(true) {
            match tokens.get_mut(id as usize) {
                Some(place) => *place = token,
                None => {
                    let why = format!(
                        "token {token:?} has id {id}, and the model has {vocab_size} tokens"
                    );
                    return Err(self.not_written(why));
                }
            }
        }
        Ok(tokens)
    }

    fn kinds(&self, tokens: &[String], model: &Value) -> Vec<i32> {
        let added = self.inner.get_added_tokens_decoder();
        let is_pieces = model["byte_fallback"] == true;
        let kind = |(id, token): (usize, &String)| {
            if is_pieces && model["unk_token"] == **token {
                return UNKNOWN;
            }
            match added.get(&(id as u32)) {
                Some(token) if token.special => CONTROL,
                Some(_) => USER_DEFINED,
                None if is_pieces && is_byte(token) => BYTE,
                None if self.inner.token_to_id(token) == Some(id as u32) => NORMAL,
                None => UNUSED,
            }
        };
        tokens.iter().enumerate().map(kind).collect()
    }

    fn add_roles(&self, writer: &mut Writer<'_>) -> Result<()> {
        let roles = [
            ("bos", "bos_token"),
            ("eos", "eos_token"),
            ("unknown", "unk_token"),
            ("padding", "pad_token"),
        ];
        for (key, role) in roles {
            if let Some((_, id)) = self.special_token(role) {
                writer.u32(&format!("tokenizer.ggml.{key}_token_id"), id);
            }
        }
        let (with, without) = (self.encode("a")?, self.encode_raw("a")?);
        let adds = |token: Option<(String, u32)>, place: Option<&u32>| {
            with.len() > without.len() && token.is_some_and(|(_, id)| place == Some(&id))
        };
        writer.flag(
            "tokenizer.ggml.add_bos_token",
            adds(self.bos_token(), with.first()),
        );
        writer.flag(
            "tokenizer.ggml.add_eos_token",
            adds(self.eos_token(), with.last()),
        );
        if let Some(template) = self.template_source(false) {
            writer.text("tokenizer.chat_template", template);
        }
        Ok(())
    }

    /// Whether a text begins with a blank that is not in it.
    fn adds_blank(&self) -> bool {
        let first = self
            .encode_raw("a")
            .ok()
            .and_then(|ids| self.id_to_token(*ids.first()?));
        first.is_some_and(|token| token.starts_with('▁'))
    }

    /// Name of the way in which words are cut.
    fn cut(&self, json: &Value) -> Result<&'static str> {
        let same = |pre: &PreTokenizer| {
            is_same(&pre.to_json(), &json["pre_tokenizer"])
                && pre.ignore_merges == (json["model"]["ignore_merges"] == true)
        };
        let found = pre_tokenizers()
            .find(same)
            .and_then(|pre| pre.names.first().copied());
        found.ok_or_else(|| {
            self.not_written("it cuts words in a way that is not known to be llama.cpp's")
        })
    }

    fn not_written(&self, why: impl Into<String>) -> Error {
        let why = why.into();
        Error::config(
            &self.folder,
            format!("this tokenizer cannot be written as GGUF: {why}"),
        )
    }
}

/// Whether two pre-tokenizers cut alike: which offsets they give makes no difference.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a
                .keys()
                .chain(b.keys())
                .filter(|key| *key != "trim_offsets");
            keys.into_iter().all(|key| {
                let [a, b] = [a, b].map(|object| object.get(key).unwrap_or(&Value::Null));
                is_same(a, b)
            })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (a, b) => a == b,
    }
}

/// Pairs that are merged, the first ones first; newer files have lists, older ones texts.
fn merges(model: &Value) -> Vec<(String, String)> {
    let pair = |merge: &Value| match merge {
        Value::Array(pair) => Some((
            pair.first()?.as_str()?.into(),
            pair.get(1)?.as_str()?.into(),
        )),
        other => {
            let (a, b) = other.as_str()?.split_once(' ')?;
            Some((a.into(), b.into()))
        }
    };
    model["merges"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect()
}

/// Scores of pieces: the earlier a merge makes one, the better.
fn scores(tokens: &[String], merges: &[(String, String)]) -> Vec<f32> {
    let mut ranks = HashMap::new();
    for (rank, (a, b)) in merges.iter().enumerate() {
        ranks.entry(format!("{a}{b}")).or_insert(rank);
    }
    let score = |token: &String| -(*ranks.get(token).unwrap_or(&merges.len()) as f32);
    tokens.iter().map(score).collect()
}

/// `<0x0A>`.
fn is_byte(token: &str) -> bool {
    let digits = token
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}
