use super::{Args, row};
use crate::error::Result;
use crate::terminal::Terminal;
use crate::{hub, loading, rows};
use metal_candle::data::{
    self, Dataset, Lengths, Overview, RowKind, Shape, Source, Split, Splits, Tokenizer, longest_row,
};
use metal_candle::language_model::{config_for, tokenizer_for};
use serde::Serialize;
use std::path::Path;

/// Rows, and with what they become tokens.
pub(super) struct Rows {
    pub(super) source: Source,
    pub(super) tokenizer: Tokenizer,
    pub(super) options: data::Options,
}

/// Answer that `--json` prints.
#[derive(Serialize)]
struct Answer {
    data: String,
    shape: Option<String>,
    columns: Vec<String>,
    max_seq_length: usize,
    splits: Vec<Figures>,
    /// Rows of `valid` that came out of `train`.
    held_out: Option<usize>,
    row: Option<row::Answer>,
}

/// Figures of one split.
#[derive(Serialize)]
struct Figures {
    split: String,
    #[serde(flatten)]
    overview: Overview,
    /// Rows that are in `train` as well.
    in_train: Option<usize>,
}

/// Shows data in figures, and a row; with `--row` the row alone. The model's weights are not needed.
pub(super) fn show(args: &Args, path: &Path, terminal: &Terminal) -> Result<()> {
    let folder = hub::folder(&args.model, terminal)?;
    let adapter = args.adapter_path.as_deref();
    let config = config_for(&folder, adapter)?;
    loading::tell_tokenizer(adapter, terminal);
    let source = rows::find(path, &args.keys, terminal)?;
    let convention = match source.kind() {
        Some(RowKind::Preference) => data::Convention::Pairs,
        _ => data::Convention::Standard,
    };
    let rows = Rows {
        source,
        tokenizer: tokenizer_for(&folder, adapter, &config)?,
        options: data::Options {
            max_seq_length: longest_row(args.row.max_seq_length, config.max_position_embeddings)?,
            mask_prompt: args.row.mask_prompt,
            convention,
            vocab_size: Some(config.vocab_size),
        },
    };
    match args.row.row {
        Some(place) => row::show(&rows, place, args, terminal),
        None => show_all(&rows, args, terminal),
    }
}

fn show_all(rows: &Rows, args: &Args, terminal: &Terminal) -> Result<()> {
    let answer = answer(rows, args)?;
    match args.json {
        true => terminal.print_json(&answer),
        false => tell(&answer, args.row.tokens, terminal),
    }
}

fn answer(rows: &Rows, args: &Args) -> Result<Answer> {
    let Rows {
        source,
        tokenizer,
        options,
    } = rows;
    let splits = Splits::look(
        source,
        &Split::ALL,
        args.row.valid_split,
        tokenizer,
        options,
    )?;
    let train = splits.train.as_ref();
    let named = [&splits.train, &splits.valid, &splits.test];
    let figures = Split::ALL.into_iter().zip(named);
    let figures = figures.filter_map(|(split, set)| Some(figures_of(split, set.as_ref()?, train)));
    let shape = train.and_then(|train| train.shape.as_ref());
    Ok(Answer {
        data: source.name().display().to_string(),
        shape: shape.map(|shape| shape.name().to_owned()),
        columns: shape.map(Shape::columns).unwrap_or_default().to_vec(),
        max_seq_length: options.max_seq_length,
        splits: figures.collect(),
        held_out: splits.held_out.map(|held| held.rows),
        row: row::answer(rows, None)?,
    })
}

fn figures_of(split: Split, set: &Dataset, train: Option<&Dataset>) -> Figures {
    let others = train.filter(|_| split != Split::Train);
    Figures {
        split: split.to_string(),
        overview: set.overview(),
        in_train: others.map(|train| set.shared_with(train)),
    }
}

fn tell(answer: &Answer, by_token: bool, terminal: &Terminal) -> Result<()> {
    if let Some(row) = &answer.row {
        row::tell(row, by_token, terminal)?;
        terminal.print("\n")?;
    }
    let shape = answer.shape.as_deref().unwrap_or("no rows");
    let columns = answer.columns.join(", ");
    terminal.print_line(format_args!("{}: {shape} ({columns})", answer.data))?;
    for figures in &answer.splits {
        tell_split(figures, answer, terminal)?;
    }
    Ok(())
}

fn tell_split(figures: &Figures, answer: &Answer, terminal: &Terminal) -> Result<()> {
    let Figures {
        split, overview, ..
    } = figures;
    let held = answer.held_out.filter(|_| split == "valid");
    let held = held.map_or("", |_| ", held out of the rows to train on");
    let Overview {
        tokens,
        trained_tokens,
        ..
    } = overview;
    let rows = rows::counted(overview.rows);
    terminal.print_line(format_args!(
        "{split:<6} {rows}, {tokens} tokens, {trained_tokens} of them trained{held}"
    ))?;
    if let Some(lengths) = overview.lengths {
        terminal.print_line(format_args!("       {}", in_words(lengths)))?;
    }
    for line in faults(figures, answer.max_seq_length) {
        terminal.print_line(format_args!("       {line}"))?;
    }
    Ok(())
}

/// What a person should know of a split's rows, a line each.
fn faults(figures: &Figures, limit: usize) -> impl Iterator<Item = String> {
    let Figures {
        overview, in_train, ..
    } = figures;
    let n_cut = overview.truncated_tokens;
    let counts = [
        (
            overview.truncated_rows,
            ("is", "are"),
            format!("longer than {limit} tokens, {n_cut} of which are cut off"),
        ),
        (
            overview.left_out,
            ("is", "are"),
            "left out: of weight 0, or nothing in them is trained".to_owned(),
        ),
        (
            overview.duplicates,
            ("says", "say"),
            "what an earlier row says".to_owned(),
        ),
        (
            in_train.unwrap_or(0),
            ("is", "are"),
            "in the rows to train on as well".to_owned(),
        ),
    ];
    let counts = counts.into_iter().filter(|(n, ..)| *n > 0);
    counts.map(|(n, (one, several), what)| {
        let verb = if n == 1 { one } else { several };
        format!("{} {verb} {what}", rows::counted(n))
    })
}

fn in_words(lengths: Lengths) -> String {
    let Lengths {
        min,
        p50,
        p90,
        p95,
        p99,
        max,
    } = lengths;
    format!(
        "lengths: {min} to {max}; 50 % up to {p50}, 90 % up to {p90}, 95 % up to {p95}, 99 % up to {p99}"
    )
}
