//! Generation: the prompt, the text as it comes, and how fast it came.

mod args;
mod prompt;

pub use args::Args;

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::loading::{self, Loaded};
use crate::terminal::Terminal;
use metal_candle::data::{StopStrings, TextStream, Tokenizer};
use metal_candle::generate::{FinishReason, Generator, Limit, Step};
use metal_candle::lora;
use metal_candle::process::peak_memory_bytes;
use serde::Serialize;

/// What `--json` prints.
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
    let mut loaded = loading::load_for(&args.model, adapter, &args.device.open()?, terminal)?;
    if let Some(path) = &args.adapter_path {
        loading::attach_adapter(&mut loaded.model, &loaded.folder, path)?;
    }
    if args.merge {
        lora::fuse(loaded.model.decoder.linears_mut())?;
    }
    if let Some(variables) = args.chat_template_config.clone() {
        loaded.tokenizer = loaded.tokenizer.with_template_config(variables);
    }
    let answer = answer(&args, &loaded, terminal)?;
    match args.json {
        true => terminal.print_json(&answer)?,
        false => tell_speed(&answer, terminal),
    }
    Ok(Exit::Done)
}

fn answer(args: &Args, loaded: &Loaded, terminal: &Terminal) -> Result<Answer> {
    let tokenizer = &loaded.tokenizer;
    let prompt = prompt::tokens(args, tokenizer)?;
    let eos = prompt::eos_token_ids(args, loaded)?;
    let decoder = &loaded.model.decoder;
    let mut generator = Generator::new(
        decoder,
        &prompt,
        args.max_tokens,
        &eos,
        args.sampling.into(),
    )?;
    tell_room(
        &generator,
        args.max_tokens,
        prompt.len(),
        decoder.max_tokens(),
    );
    let mut text = String::new();
    let reason = stream(&mut generator, tokenizer, &args.stop, |piece| {
        text.push_str(piece);
        match args.json {
            true => Ok(()),
            false => terminal.print(piece),
        }
    })?;
    if !args.json {
        terminal.print("\n")?;
    }
    if reason.limit() == Some(Limit::Model) {
        let limit = decoder.max_tokens();
        tracing::warn!(
            "the text ends at the model's limit of {limit} tokens, not where it is complete"
        );
    }
    let speed = generator.speed();
    Ok(Answer {
        token_ids: generator.generated().to_vec(),
        prompt_token_ids: prompt,
        text,
        finish_reason: reason.as_str(),
        limit: reason.limit().map(Limit::as_str),
        prompt_tps: speed.prompt_tps,
        generation_tps: speed.generation_tps,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// Says before anything is generated that fewer tokens may come than were asked for.
fn tell_room(generator: &Generator<'_>, wanted: usize, n_prompt: usize, limit: usize) {
    let room = generator.room();
    if room < wanted {
        tracing::warn!(
            "the model's limit of {limit} tokens leaves room for {room} after a prompt of {n_prompt}, not for {wanted} (--max-tokens)"
        );
    }
}

/// Gives the text to `show` piece by piece, whole characters only, up to a stop string. Special
/// tokens are not shown, but may be or hold a stop string.
fn stream(
    generator: &mut Generator<'_>,
    tokenizer: &Tokenizer,
    stop: &[String],
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<FinishReason> {
    let mut text = TextStream::new(tokenizer);
    let mut stops = StopStrings::new(stop.to_vec());
    loop {
        let (checked, reason) = match generator.step()? {
            Step::Token(id) if tokenizer.is_special(id) => {
                (stops.push_hidden(&tokenizer.decode_all(&[id])?), None)
            }
            Step::Token(id) => (stops.push(&text.push(id)?), None),
            Step::Finished(reason) => (stops.push(&text.finish()?), Some(reason)),
        };
        show(&checked.text)?;
        if checked.stop.is_some() {
            return Ok(FinishReason::Stop);
        }
        if let Some(reason) = reason {
            show(&stops.finish())?;
            return Ok(reason);
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
