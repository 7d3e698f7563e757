//! Prompts: what a text starts from, and what ends it.

use super::Args;
use crate::error::{Error, Result};
use metal_candle::LanguageModel;
use metal_candle::data::{Message, Tokenizer};
use std::io::Read;

/// The prompt's tokens, through the chat template where there is one.
///
/// # Errors
/// When standard input cannot be read, or the template refuses the prompt.
pub fn tokens(args: &Args, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let prompt = match args.prompt.as_str() {
        "-" => read_input()?,
        text => text.to_string(),
    };
    if tokenizer.has_chat_template() && !args.ignore_chat_template {
        let system = args
            .system_prompt
            .iter()
            .map(|text| message("system", text));
        let messages: Vec<Message> = system.chain([message("user", &prompt)]).collect();
        let text = match &args.prefill_response {
            None => tokenizer.apply_chat_template(&messages, None, true)?,
            Some(begun) => with_beginning(messages, begun, tokenizer)?,
        };
        return Ok(tokenizer.encode_raw(&text)?);
    }
    let of_template = [
        ("--system-prompt", &args.system_prompt),
        ("--prefill-response", &args.prefill_response),
    ];
    match of_template.iter().find(|(_, text)| text.is_some()) {
        None => plain(&prompt, tokenizer),
        Some((option, _)) => Err(Error::input(format!(
            "{option} needs a chat template, and none is used"
        ))
        .with_advice("put it into --prompt")),
    }
}

/// Text behind which transformers looks for the end of the last message (`continue_final_message`).
const END: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// A conversation up to the end of the answer's beginning. A template that takes blanks from the end of messages takes them
/// from the beginning.
fn with_beginning(
    mut messages: Vec<Message>,
    begun: &str,
    tokenizer: &Tokenizer,
) -> Result<String> {
    messages.push(message("assistant", &format!("{begun}{END}")));
    let text = tokenizer.apply_chat_template(&messages, None, false)?;
    let Some((before, behind)) = text.rsplit_once(END.trim_end()) else {
        let error = format!(
            "--prefill-response {begun:?}: the chat template leaves the text of an answer out"
        );
        return Err(Error::input(error).with_advice(
            "render the conversation yourself: --prompt with --ignore-chat-template",
        ));
    };
    Ok(match behind.starts_with(' ') {
        true => before.to_string(),
        false => before.trim_end().to_string(),
    })
}

fn plain(prompt: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let plain = tokenizer.encode_plain(prompt)?;
    if plain.bos_was_doubled {
        tracing::warn!(
            "the prompt begins with the token that the tokenizer puts before every text: it is given once"
        );
    }
    Ok(plain.encoded.ids)
}

fn read_input() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|source| Error::input(format!("cannot read standard input: {source}")))?;
    Ok(text)
}

/// A message of a conversation.
pub fn message(role: &str, content: &str) -> Message {
    let fields = [("role", role), ("content", content)];
    fields
        .map(|(name, value)| (name.to_string(), value.into()))
        .into_iter()
        .collect()
}

/// The model's own ends, the tokenizer's, and those asked for.
///
/// # Errors
/// When a token that was asked for does not exist.
pub fn eos_token_ids(args: &Args, loaded: &LanguageModel) -> Result<Vec<u32>> {
    let mut ids = loaded.model.eos_token_ids.clone();
    ids.extend(loaded.tokenizer.eos_token().map(|(_, id)| id));
    for token in &args.extra_eos_token {
        let id = loaded.tokenizer.token_to_id(token).ok_or_else(|| {
            Error::input(format!(
                "--extra-eos-token {token:?} is not in the tokenizer's vocabulary"
            ))
            .with_advice("for a text of several tokens use --stop")
        })?;
        ids.push(id);
    }
    tell_unreachable(&ids, loaded);
    Ok(ids)
}

/// A tokenizer may know more tokens than the model: an end among these never comes.
fn tell_unreachable(ids: &[u32], loaded: &LanguageModel) {
    let n_tokens = loaded.model.decoder.vocab_size();
    for &id in ids.iter().filter(|id| **id as usize >= n_tokens) {
        let token = loaded.tokenizer.id_to_token(id).unwrap_or_default();
        tracing::warn!(
            "token {token:?}, which is to end the text, has id {id}, and the model has {n_tokens} tokens: it never comes"
        );
    }
}
