//! The main job with nothing downloaded: a corpus, a tokenizer and a base model from nothing, an
//! adapter for a task that the base cannot do, and the score before and after.

mod adapter;
mod base;
mod corpus;
mod exam;
mod run_training;

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::{self, Interrupt};
use crate::output_folder;
use crate::shell;
use crate::terminal::Terminal;
use corpus::Corpus;
use exam::Score;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train a tiny model from nothing, fine-tune it and show the difference
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder for the base model, the data and the adapter
    #[arg(long, value_name = "FOLDER", default_value = "quickstart")]
    pub output: PathBuf,
    /// Replace what is in the folder
    #[arg(long)]
    pub overwrite: bool,
    /// Seed of the corpus, the weights and the order of the rows
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Steps of the base model's training
    #[arg(long, value_name = "STEPS", default_value_t = NonZeroUsize::MIN.saturating_add(349))]
    pub base_iters: NonZeroUsize,
    /// Steps of the adapter's training
    #[arg(long, value_name = "STEPS", default_value_t = NonZeroUsize::MIN.saturating_add(449))]
    pub iters: NonZeroUsize,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Rows that the base model learns from.
const BASE_ROWS: usize = 6000;

/// Dates in train.jsonl, valid.jsonl and test.jsonl of the adapter.
const TASK_ROWS: [usize; 3] = [3000, 50, 100];

/// Dates whose answers are shown.
const SHOWN: usize = 3;

#[derive(Serialize)]
struct Report {
    exact_match_before: f64,
    exact_match_after: f64,
    seconds: f64,
    adapter_path: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let began = Instant::now();
    let terminal = &context.terminal;
    if !args.overwrite {
        let advice = "--overwrite replaces what is in it; or choose another folder";
        output_folder::check_new("--output", &args.output, advice)?;
    }
    let interrupt = Interrupt::listen(terminal, interrupt::SAVING)?;
    let mut corpus = Corpus::new(args.seed);
    let folders = Folders::in_(&args.output);

    terminal.say("1/3  A base model from nothing: corpus, tokenizer, full training");
    base::make(&folders, &mut corpus, &args, terminal, &interrupt)?;
    if interrupt.is_asked() {
        return Ok(Exit::Interrupted);
    }
    terminal.say("2/3  A LoRA adapter that turns dates into ISO 8601");
    let exam = adapter::write_data(&folders, &mut corpus)?;
    let before = exam.take(&folders.base, None)?;
    adapter::train(&folders, &args, terminal, &interrupt)?;
    if interrupt.is_asked() {
        return Ok(Exit::Interrupted);
    }
    terminal.say("3/3  The same held-out dates, without and with the adapter");
    let after = exam.take(&folders.base, Some(&folders.adapter))?;

    let report = Report {
        exact_match_before: before.exact_match(),
        exact_match_after: after.exact_match(),
        seconds: began.elapsed().as_secs_f64(),
        adapter_path: folders.adapter.clone(),
    };
    match args.json {
        true => terminal.print_json(&report)?,
        false => show(&report, &before, &after, &folders, terminal)?,
    }
    Ok(Exit::Done)
}

/// Folders that everything goes to.
struct Folders {
    /// The corpus of the base model.
    corpus: PathBuf,
    /// The base model, an ordinary checkpoint.
    base: PathBuf,
    /// The task: train.jsonl, valid.jsonl and test.jsonl.
    data: PathBuf,
    /// The adapter.
    adapter: PathBuf,
}

impl Folders {
    fn in_(output: &Path) -> Self {
        Self {
            corpus: output.join("corpus"),
            base: output.join("base"),
            data: output.join("data"),
            adapter: output.join("adapter"),
        }
    }
}

fn show(
    report: &Report,
    before: &Score,
    after: &Score,
    folders: &Folders,
    terminal: &Terminal,
) -> Result<()> {
    terminal.print_line(format_args!("{:<20} {:<24} adapter", "prompt", "base"))?;
    for (before, after) in before.answers.iter().zip(&after.answers).take(SHOWN) {
        let base = before.answer.replace('\n', " ");
        terminal.print_line(format_args!(
            "{:<20} {base:<24} {}",
            before.prompt, after.answer
        ))?;
    }
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    terminal.print_line(format_args!(
        "exact match on {} held-out dates: {} -> {}, in {:.0} s",
        after.answers.len(),
        percent(report.exact_match_before),
        percent(report.exact_match_after),
        report.seconds
    ))?;
    terminal.print_line(next_commands(folders))
}

fn next_commands(folders: &Folders) -> String {
    let (base, adapter) = (shell::path(&folders.base), shell::path(&folders.adapter));
    let data = shell::path(&folders.data);
    let binary = std::env::args()
        .next()
        .unwrap_or_else(|| "metal-candle".into());
    format!(
        "\nThe adapter is in {adapter}. Next:
  {binary} generate --model {base} --adapter-path {adapter} --prompt \"24 December 1999\"
  {binary} verify --model {base} --adapter-path {adapter} --data {data}/valid.jsonl --mask-prompt
  {binary} perplexity --model {base} --adapter-path {adapter} --data {data}/test.jsonl --mask-prompt
  {binary} inspect --model {base} --data {data}/train.jsonl --mask-prompt
  {binary} fuse --model {base} --adapter-path {adapter} --save-path {base}-fused"
    )
}
