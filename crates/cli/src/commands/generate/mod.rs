//! Generation: the prompt, the text as it comes, and how fast it came.

mod args;
mod kept;
pub mod parsers;
mod prompt;
mod speed;

pub use args::{Args, SamplingOptions};
pub use kept::adapter_name;
pub use prompt::{kept as kept_prompt, message};

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::loading;
use crate::terminal::Terminal;
use metal_candle::LanguageModel;
use metal_candle::generate::{Engine, FinishReason, Limit, Request, Step, Text};
use metal_candle::lora::AdapterSet;
use metal_candle::models::{CacheForm, KvCache, PromptCache};
use metal_candle::process::peak_memory_bytes;
use serde::Serialize;
use speed::Clock;
use std::sync::Arc;

/// Answer that `--json` prints.
#[derive(Serialize)]
struct Answer {
    prompt_token_ids: Vec<u32>,
    token_ids: Vec<u32>,
    text: String,
    finish_reason: &'static str,
    /// `max_tokens` or `model` where the reason is `length`.
    limit: Option<&'static str>,
    prompt_tps: f64,
    generation_tps: f64,
    peak_memory_bytes: Option<u64>,
}

/// Generates a text.
///
/// # Errors
/// When something that was given cannot be used, or the model fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    let adapter = args.adapter_path.as_deref();
    let (kept, model) = kept::open(&args)?;
    let mut loaded = loading::load_for(
        (&model, adapter),
        args.weights,
        &args.device.open()?,
        terminal,
    )?;
    let adapter = adapter.map(|path| loading::adapter(&loaded.model, &loaded.folder, path));
    let mut adapter = adapter.transpose()?;
    if let Some(adapter) = adapter.take_if(|_| args.merge) {
        loaded.model.fuse(&adapter)?;
    }
    if let Some(variables) = args.chat_template_config.clone() {
        loaded.tokenizer = loaded.tokenizer.with_template_config(variables);
    }
    let answer = answer(&args, &loaded, kept.as_ref(), adapter, terminal)?;
    match args.json {
        true => terminal.print_json(&answer)?,
        false => tell_speed(&answer, terminal),
    }
    Ok(Exit::Done)
}

fn answer(
    args: &Args,
    loaded: &LanguageModel,
    kept: Option<&PromptCache>,
    adapter: Option<Arc<AdapterSet>>,
    terminal: &Terminal,
) -> Result<Answer> {
    let prompt = prompt::tokens(args, &loaded.tokenizer)?;
    let n_before = kept.map_or(0, PromptCache::n_tokens);
    tell_room(args.max_tokens, n_before + prompt.len(), loaded)?;
    let mut text = String::new();
    let request = request(args, &prompt, loaded, kept, adapter)?;
    let decoder = &loaded.model.decoder;
    let cache = match kept {
        Some(file) => decoder.read_cache(file)?,
        None => decoder.cache(args.cache.form()),
    };
    let generated = answer_behind(loaded, cache, request, &args.stop, |piece| {
        text.push_str(piece);
        match args.json {
            true => Ok(()),
            false => terminal.print(piece),
        }
    })?;
    if !args.json {
        terminal.print("\n")?;
    }
    let Generated { reason, clock, .. } = &generated;
    if reason.limit() == Some(Limit::Model) {
        let limit = loaded.model.decoder.max_tokens();
        tracing::warn!(
            "the text ends at the model's limit of {limit} tokens, not where it is complete"
        );
    }
    Ok(Answer {
        text,
        finish_reason: reason.as_str(),
        limit: reason.limit().map(Limit::as_str),
        prompt_tps: clock.prompt_tps(prompt.len()),
        generation_tps: clock.generation_tps(),
        peak_memory_bytes: peak_memory_bytes(),
        prompt_token_ids: prompt,
        token_ids: generated.token_ids,
    })
}

/// Says before anything is generated that fewer tokens may come than were asked for.
fn tell_room(wanted: usize, n_prompt: usize, loaded: &LanguageModel) -> Result<()> {
    let decoder = &loaded.model.decoder;
    let (room, limit) = (decoder.room(n_prompt)?, decoder.max_tokens());
    if room < wanted {
        tracing::warn!(
            "the model's limit of {limit} tokens leaves room for {room} after a prompt of {n_prompt}, not for {wanted} (--max-tokens)"
        );
    }
    Ok(())
}

/// Text that came of a prompt.
pub struct Generated {
    token_ids: Vec<u32>,
    /// Why it ended.
    pub reason: FinishReason,
    clock: Clock,
}

fn request(
    args: &Args,
    prompt: &[u32],
    loaded: &LanguageModel,
    kept: Option<&PromptCache>,
    adapter: Option<Arc<AdapterSet>>,
) -> Result<Request> {
    let of_file = kept.and_then(|file| file.info.eos_token.as_deref());
    Ok(Request {
        prompt: prompt.to_vec(),
        max_tokens: args.max_tokens,
        eos_token_ids: prompt::eos_token_ids(args, of_file, loaded)?,
        sampling: args.sampling.into(),
        spared: loaded.tokenizer.encode("\n")?,
        adapter,
        ..Request::default()
    })
}

/// Text that comes of `request` with a cache of this form, given to `show` piece by piece; it ends before each of `stop`.
///
/// # Errors
/// When the prompt does not fit the model, the model fails, or `show` does.
pub fn answer_of(
    loaded: &LanguageModel,
    form: CacheForm,
    request: Request,
    stop: &[String],
    show: impl FnMut(&str) -> Result<()>,
) -> Result<Generated> {
    let cache = loaded.model.decoder.cache(form);
    answer_behind(loaded, cache, request, stop, show)
}

/// [`answer_of`] that goes on behind the tokens of `cache`.
fn answer_behind(
    loaded: &LanguageModel,
    cache: KvCache,
    request: Request,
    stop: &[String],
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<Generated> {
    let mut engine = Engine::new(&loaded.model.decoder);
    engine.insert_behind(cache, request)?;
    let mut text = Text::new(&loaded.tokenizer, stop);
    let (mut token_ids, mut clock) = (vec![], Clock::start());
    loop {
        for (_, step) in engine.step()? {
            let step = step?;
            if let Step::Token(token) = &step {
                clock.token();
                token_ids.push(token.id);
            }
            let piece = text.push(&step)?;
            show(&piece.text)?;
            if let Some(reason) = piece.finished {
                return Ok(Generated {
                    token_ids,
                    reason,
                    clock,
                });
            }
        }
    }
}

fn tell_speed(answer: &Answer, terminal: &Terminal) {
    let (n_prompt, n_tokens) = (answer.prompt_token_ids.len(), answer.token_ids.len());
    terminal.say("==========");
    terminal.say(format_args!(
        "Prompt: {n_prompt} tokens, {:.3} tokens-per-sec",
        answer.prompt_tps
    ));
    terminal.say(format_args!(
        "Generation: {n_tokens} tokens, {:.3} tokens-per-sec",
        answer.generation_tps
    ));
    if let Some(bytes) = answer.peak_memory_bytes {
        terminal.say(format_args!("Peak memory: {:.3} GB", bytes as f64 / 1e9));
    }
}
