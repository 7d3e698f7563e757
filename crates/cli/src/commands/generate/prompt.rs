//! Prompts: what a text starts from, and what ends it.

use super::Args;
use crate::error::{Error, Result};
use metal_candle::LanguageModel;
use metal_candle::data::{Message, Tokenizer};
use std::io::Read;

/// The prompt's tokens, through the chat template where there is one; behind a prompt that was kept, the rest of the message.
///
/// # Errors
/// When standard input cannot be read, or the template refuses the prompt.
pub fn tokens(args: &Args, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let (prompt, is_rest) = (given(&args.prompt)?, args.prompt_cache_file.is_some());
    if tokenizer.has_chat_template() && !args.ignore_chat_template {
        let text = match is_rest {
            true => rest(args, &prompt, tokenizer)?,
            false => rendered(args, &prompt, tokenizer)?,
        };
        return Ok(tokenizer.encode_raw(&text)?);
    }
    let of_template = [
        ("--system-prompt", &args.system_prompt),
        ("--prefill-response", &args.prefill_response),
    ];
    match of_template.iter().find(|(_, text)| text.is_some()) {
        None if is_rest => Ok(tokenizer.encode_raw(&prompt)?),
        None => plain(&prompt, tokenizer),
        Some((option, _)) => Err(Error::input(format!(
            "{option} needs a chat template, and none is used"
        ))
        .with_advice("put it into --prompt")),
    }
}

/// Tokens of a prompt that is kept: a message of the user up to the end of `prompt`, as `mlx_lm.cache_prompt` has it, or
/// `prompt` as it is where there is no chat template.
///
/// # Errors
/// As [`tokens`].
pub fn kept(prompt: &str, as_it_is: bool, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let prompt = given(prompt)?;
    match tokenizer.has_chat_template() && !as_it_is {
        true => Ok(tokenizer.encode_raw(&unfinished(vec![], ("user", &prompt), tokenizer)?)?),
        false => plain(&prompt, tokenizer),
    }
}

/// The text, or that of standard input where it is `-`.
fn given(prompt: &str) -> Result<String> {
    match prompt {
        "-" => read_input(),
        text => Ok(text.to_string()),
    }
}

/// A conversation as the chat template has it, up to where the answer begins or goes on.
fn rendered(args: &Args, prompt: &str, tokenizer: &Tokenizer) -> Result<String> {
    let system = args.system_prompt.iter();
    let system = system.map(|text| message("system", text));
    let messages: Vec<Message> = system.chain([message("user", prompt)]).collect();
    match &args.prefill_response {
        None => Ok(tokenizer.apply_chat_template(&messages, None, true)?),
        Some(begun) => unfinished(messages, ("assistant", begun), tokenizer),
    }
}

/// Text that stands for a message, to find where it begins.
const MESSAGE: &str = "<query>";

/// Rest of a conversation from where the prompt begins: what comes before it was kept.
fn rest(args: &Args, prompt: &str, tokenizer: &Tokenizer) -> Result<String> {
    if args.system_prompt.is_some() {
        tracing::warn!(
            "--system-prompt changes nothing: the beginning of the conversation is in the file"
        );
    }
    let (text, marked) = (
        rendered(args, prompt, tokenizer)?,
        rendered(args, MESSAGE, tokenizer)?,
    );
    let start = marked
        .find(MESSAGE)
        .filter(|start| text.is_char_boundary(*start));
    match start {
        Some(start) if text[..start] == marked[..start] => Ok(text[start..].to_string()),
        _ => Err(Error::input(
            "the chat template does not give a message as it is: it cannot go on behind a file",
        )
        .with_advice("give the whole prompt, without --prompt-cache-file")),
    }
}

/// Text behind which transformers looks for the end of the last message (`continue_final_message`).
const END: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// A conversation up to the end of the text of its last message, whose role and text are `last`. A template that takes blanks from the end of messages takes them
/// from there.
fn unfinished(
    mut messages: Vec<Message>,
    (role, begun): (&str, &str),
    tokenizer: &Tokenizer,
) -> Result<String> {
    messages.push(message(role, &format!("{begun}{END}")));
    let text = tokenizer.apply_chat_template(&messages, None, false)?;
    let Some((before, behind)) = text.rsplit_once(END.trim_end()) else {
        let error = format!("the chat template leaves the text of the {role}'s message out");
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

/// The model's own ends, the tokenizer's, and those asked for, here and where a prompt was kept.
///
/// # Errors
/// When a token that was asked for does not exist.
pub fn eos_token_ids(
    args: &Args,
    of_file: Option<&str>,
    loaded: &LanguageModel,
) -> Result<Vec<u32>> {
    let mut ids = loaded.model.eos_token_ids.clone();
    ids.extend(loaded.tokenizer.eos_token().map(|(_, id)| id));
    let asked = args.extra_eos_token.iter().map(String::as_str);
    for token in asked.chain(of_file) {
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
