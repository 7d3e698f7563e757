use super::Context;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::numbers::at_least_one;
use crate::row_keys::RowKeys;
use crate::rows;
use crate::terminal::Terminal;
use crate::training::checks;
use metal_candle::LanguageModel;
use metal_candle::data::Dataset;
use metal_candle::language_model::Adapted;
use metal_candle::train::Parameters;
use metal_candle::verify::{Effort, Read, Report, Saved, Subject, verify};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle verify --model Qwen/Qwen3-0.6B --adapter-path adapters --data data/valid.jsonl \\
    --mask-prompt
  metal-candle verify --model ./model --adapter-path adapters --json

gradients  one pass forward and backward reaches every trained tensor, with finite numbers
output     the adapter changes logits by more than rounding
merge      every layer computes the same with the adapter merged into its weight, as fuse does it;
           a packed weight is compared as the numbers that it stands for
mask       the loss counts the tokens that are to be trained, and no others (with --data)
file       the adapter is the one that its checkpoint was saved with, and is read back to the bit";

/// Check an adapter on its model: gradients, output, merging, mask and file
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(long, value_name = "PATH", default_value = "adapters")]
    pub adapter_path: PathBuf,
    /// File of rows, as `train` takes them, or - for standard input; without it made-up tokens go through the model
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Train only what the assistant says, or the completion
    #[arg(long, requires = "data")]
    pub mask_prompt: bool,
    /// Longest row in tokens, longer ones are cut [default: 2048, or the model's limit]
    #[arg(long, value_name = "N", requires = "data", value_parser = at_least_one)]
    pub max_seq_length: Option<usize>,
    /// Few tokens and few layers, as at the end of a training
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub keys: RowKeys,
}

/// Answer that `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    passed: bool,
    #[serde(flatten)]
    report: &'a Report,
}

/// Makes the checks; one that fails makes the command fail.
///
/// # Errors
/// When something that was given cannot be used, or a computation fails.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    loading::check_adapter(&args.adapter_path)?;
    let adapter = Some(args.adapter_path.as_path());
    let loaded = loading::load_for(
        (&args.model, adapter),
        args.weights,
        &args.device.open()?,
        terminal,
    )?;
    let rows = read_rows(&args, &loaded, terminal)?;
    let adapted = loading::read_adapter(&loaded.model, &loaded.folder, &args.adapter_path)?;
    let report = report(&args, &loaded, &adapted, rows.as_ref())?;
    tell(&report, args.json, terminal)?;
    Ok(match report.passed() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

fn read_rows(args: &Args, loaded: &LanguageModel, terminal: &Terminal) -> Result<Option<Dataset>> {
    let Some(path) = args.data.as_deref() else {
        return Ok(None);
    };
    let file = rows::OneFile {
        path,
        keys: &args.keys,
        max_seq_length: args.max_seq_length,
        mask_prompt: args.mask_prompt,
        takes_pairs: true,
    };
    file.read(loaded, terminal).map(Some)
}

fn report(
    args: &Args,
    loaded: &LanguageModel,
    adapted: &Adapted,
    rows: Option<&Dataset>,
) -> Result<Report> {
    let decoder = &loaded.model.decoder;
    let effort = match args.quick {
        true => Effort::quick(decoder.n_parameters()),
        false => Effort::WHOLE,
    };
    let n_rows = effort.n_rows.max(effort.n_masked);
    let rows = rows.map_or(Ok(vec![]), |rows| rows.examples.first(n_rows))?;
    let read = || written_and_read(adapted, loaded, &args.model);
    let subject = Subject {
        model: &loaded.model,
        parameters: &Parameters::of_adapters(adapted.set.clone(), decoder),
        rows: &rows,
        masked: &rows,
        tokenizer: Some(&loaded.tokenizer),
        file: Some(Saved {
            path: &args.adapter_path,
            read: &read,
        }),
    };
    verify(&subject, &effort).map_err(Error::from)
}

/// Tensors of an adapter that was written to a folder and read from there.
fn written_and_read(adapted: &Adapted, loaded: &LanguageModel, name: &str) -> Read {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let saved = adapted.save(folder.path(), name);
    saved.map_err(|error| error.to_string())?;
    let again = Adapted::read(folder.path(), &loaded.model, &loaded.folder, |_| {});
    let named = again.map_err(|error| error.to_string())?.set.parameters();
    let named = named.into_iter();
    Ok(named
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect())
}

fn tell(report: &Report, json: bool, terminal: &Terminal) -> Result<()> {
    if json {
        let passed = report.passed();
        return terminal.print_json(&Answer { passed, report });
    }
    for line in checks::lines(report) {
        terminal.print_line(line)?;
    }
    terminal.print_line(checks::summary(report))
}
