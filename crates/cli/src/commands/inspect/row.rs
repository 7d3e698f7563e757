use super::Args;
use crate::error::{Error, Result};
use crate::hub;
use crate::loading;
use crate::terminal::Terminal;
use metal_candle::data::{self, Dataset, MaskSpan, Tokenizer, longest_row, mask_spans};
use metal_candle::language_model::tokenizer_for;
use metal_candle::models::Config;
use serde::Serialize;
use std::path::Path;

/// Answer that `--json` prints.
#[derive(Serialize)]
struct Answer {
    path: String,
    line: usize,
    token_ids: Vec<u32>,
    /// Whether the loss counts the token at the same place.
    trained: Vec<bool>,
    tokens: usize,
    trained_tokens: usize,
    truncated_tokens: usize,
    runs: Vec<RunOnOutput>,
}

#[derive(Serialize)]
struct RunOnOutput {
    text: String,
    tokens: usize,
    trained: bool,
}

impl From<MaskSpan> for RunOnOutput {
    fn from(run: MaskSpan) -> Self {
        Self {
            text: run.text,
            tokens: run.n_tokens,
            trained: run.trained,
        }
    }
}

/// Shows one row of `file`. The model's weights are not needed.
pub fn show(args: &Args, file: &Path, terminal: &Terminal) -> Result<()> {
    let folder = hub::folder(&args.model, terminal)?;
    let (config, _) = Config::read(&folder)?;
    let adapter = args.adapter_path.as_deref();
    loading::tell_tokenizer(adapter, terminal);
    let tokenizer = tokenizer_for(&folder, adapter, &config)?;
    let answer = answer(args, file, &tokenizer, &config)?;
    match args.json {
        true => terminal.print_json(&answer),
        false => tell(&answer, terminal),
    }
}

fn answer(args: &Args, file: &Path, tokenizer: &Tokenizer, config: &Config) -> Result<Answer> {
    let line = args.row.row;
    let options = data::Options {
        max_seq_length: longest_row(args.row.max_seq_length, config.max_position_embeddings)?,
        mask_prompt: args.row.mask_prompt,
        vocab_size: Some(config.vocab_size),
    };
    let Some((example, truncated_tokens)) = Dataset::row(file, line, tokenizer, &options)? else {
        return Err(
            Error::input(format!("{}: no row on line {line}", file.display()))
                .with_advice("--row counts lines from 1, as errors and warnings do"),
        );
    };
    let spans = mask_spans(&example, tokenizer)?;
    Ok(Answer {
        path: file.display().to_string(),
        line,
        tokens: example.tokens.len(),
        trained_tokens: example.trained_tokens(),
        truncated_tokens,
        runs: spans.into_iter().map(RunOnOutput::from).collect(),
        trained: example.trained,
        token_ids: example.tokens,
    })
}

fn tell(answer: &Answer, terminal: &Terminal) -> Result<()> {
    // Green on a terminal; brackets that hardly any text has elsewhere.
    let (before, after) = match terminal.has_colours() {
        true => ("\u{1b}[32m", "\u{1b}[0m"),
        false => ("⟦", "⟧"),
    };
    for run in &answer.runs {
        match run.trained {
            true => terminal.print_marked(before, &run.text, after)?,
            false => terminal.print(&run.text)?,
        }
    }
    terminal.print("\n")?;
    let Answer {
        path,
        line,
        tokens,
        trained_tokens,
        truncated_tokens,
        ..
    } = answer;
    let cut = match truncated_tokens {
        0 => String::new(),
        n => format!(", {n} more were cut off"),
    };
    terminal.print_line(format_args!(
        "{path}:{line}: {trained_tokens} of {tokens} tokens are trained{cut}"
    ))
}
