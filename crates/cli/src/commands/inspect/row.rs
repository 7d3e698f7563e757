use super::Args;
use super::data::Rows;
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use metal_candle::data::{Dataset, MaskSpan, Unit, mask_spans, token_texts};
use serde::Serialize;

/// Answer that `--json` prints.
#[derive(Serialize)]
pub(super) struct Answer {
    path: String,
    #[serde(skip)]
    place: String,
    line: usize,
    token_ids: Vec<u32>,
    /// Text of the token at the same place.
    token_texts: Vec<String>,
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

/// Shows the row at `place`.
pub(super) fn show(rows: &Rows, place: usize, args: &Args, terminal: &Terminal) -> Result<()> {
    let Some(answer) = answer(rows, Some(place))? else {
        let name = rows.source.name().display();
        return Err(Error::input(format!("{name}: no row on line {place}"))
            .with_advice("--row counts lines from 1, or rows of a list or Parquet file, as errors and warnings do"));
    };
    match args.json {
        true => terminal.print_json(&answer),
        false => tell(&answer, args.row.tokens, terminal),
    }
}

/// The row at `place`, or the first one.
pub(super) fn answer(rows: &Rows, place: Option<usize>) -> Result<Option<Answer>> {
    let shown = Dataset::row(&rows.source, place, &rows.tokenizer, &rows.options)?;
    let Some(shown) = shown else {
        return Ok(None);
    };
    let example = shown.example;
    let spans = mask_spans(&example, &rows.tokenizer)?;
    Ok(Some(Answer {
        path: shown.path.display().to_string(),
        place: match shown.unit {
            Unit::Line => format!(":{}", example.line),
            Unit::Row => format!(", row {}", example.line),
        },
        line: example.line,
        tokens: example.tokens.len(),
        trained_tokens: example.trained.iter().filter(|trained| **trained).count(),
        truncated_tokens: shown.dropped,
        runs: spans.into_iter().map(RunOnOutput::from).collect(),
        token_texts: token_texts(&example.tokens, &rows.tokenizer)?,
        trained: example.trained,
        token_ids: example.tokens,
    }))
}

pub(super) fn tell(answer: &Answer, by_token: bool, terminal: &Terminal) -> Result<()> {
    match by_token {
        true => tell_tokens(answer, terminal)?,
        false => tell_text(answer, terminal)?,
    }
    let Answer {
        path,
        place,
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
        "{path}{place}: {trained_tokens} of {tokens} tokens are trained{cut}"
    ))
}

fn tell_text(answer: &Answer, terminal: &Terminal) -> Result<()> {
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
    terminal.print("\n")
}

fn tell_tokens(answer: &Answer, terminal: &Terminal) -> Result<()> {
    terminal.print_line("place      id  loss  text")?;
    let tokens = answer.token_ids.iter().zip(&answer.trained);
    for (place, ((id, is_trained), text)) in tokens.zip(&answer.token_texts).enumerate() {
        let loss = if *is_trained { "yes" } else { "-" };
        terminal.print_line(format_args!("{place:>5} {id:>7}  {loss:<4}  {text:?}"))?;
    }
    Ok(())
}
