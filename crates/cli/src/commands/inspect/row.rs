use super::Args;
use crate::commands::train::max_seq_length;
use crate::error::{Error, Result};
use crate::hub;
use crate::terminal::Terminal;
use metal_candle::data::{self, Example, Row, RowError, Run, Tokenizer, runs};
use metal_candle::files;
use metal_candle::models::Config;
use serde::Serialize;
use std::path::Path;

/// What `--json` prints.
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

impl From<Run> for RunOnOutput {
    fn from(run: Run) -> Self {
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
    let tokenizer = Tokenizer::from_folder(&folder)?;
    let (config, _) = Config::read(&folder)?;
    let answer = answer(args, file, &tokenizer, &config)?;
    match args.json {
        true => terminal.print_json(&answer),
        false => tell(&answer, terminal),
    }
}

fn answer(args: &Args, file: &Path, tokenizer: &Tokenizer, config: &Config) -> Result<Answer> {
    let line = args.row.row;
    let limit = max_seq_length(args.row.max_seq_length, config)?;
    let row = read_row(file, line)?;
    let at_row = |error: RowError| row_error(file, line, error);
    let mut example =
        Example::from_row(&row, line, tokenizer, args.row.mask_prompt).map_err(at_row)?;
    let truncated_tokens = example.truncate(limit);
    check_ids(&example, config.vocab_size).map_err(at_row)?;
    let runs = runs(&example, tokenizer)?;
    Ok(Answer {
        path: file.display().to_string(),
        line,
        tokens: example.tokens.len(),
        trained_tokens: example.trained_tokens(),
        truncated_tokens,
        runs: runs.into_iter().map(RunOnOutput::from).collect(),
        trained: example.trained,
        token_ids: example.tokens,
    })
}

/// The row on `line`; its kind is that of the file's first row.
fn read_row(file: &Path, line: usize) -> Result<Row> {
    let bytes = files::read_bytes(file)?;
    let text = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(&bytes);
    let lines = (1..).zip(text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii));
    let mut rows = lines.filter(|(_, bytes)| !bytes.is_empty()).peekable();
    let parse = |(number, bytes): (usize, &[u8]), kind| {
        Row::parse(bytes, kind).map_err(|error| row_error(file, number, error))
    };
    let first = rows.peek().copied();
    let Some(first) = first else {
        return Err(data::Error::EmptyFile { path: file.into() }.into());
    };
    let kind = parse(first, None)?.kind();
    match rows.find(|(number, _)| *number == line) {
        Some(row) => parse(row, Some(kind)),
        None => Err(
            Error::input(format!("{}: no row on line {line}", file.display()))
                .with_advice("--row counts lines from 1, as errors and warnings do"),
        ),
    }
}

fn check_ids(example: &Example, vocab_size: usize) -> std::result::Result<(), RowError> {
    let mut ids = example.tokens.iter().enumerate();
    match ids.find(|(_, id)| **id as usize >= vocab_size) {
        None => Ok(()),
        Some((position, &id)) => Err(RowError::TokenOutOfRange {
            id,
            position,
            vocab_size,
        }),
    }
}

fn row_error(file: &Path, line: usize, error: RowError) -> Error {
    let path = file.to_path_buf();
    let error = Box::new(error);
    data::Error::Row { path, line, error }.into()
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
