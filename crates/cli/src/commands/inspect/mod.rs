//! Looking before training: data in figures, what of a row is trained, or which layers an adapter would reach.

mod data;
mod layers;
mod row;

use super::Context;
use crate::adapter_options::AdapterOptions;
use crate::device::DeviceArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::numbers::{at_least_one, share_below_one};
use crate::row_keys::RowKeys;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle inspect --model Qwen/Qwen3-0.6B --data data --mask-prompt
  metal-candle inspect --model Qwen/Qwen3-0.6B --data data/train.jsonl --row 3 --mask-prompt --tokens
  metal-candle inspect --model Qwen/Qwen3-0.6B --targets q_proj,v_proj --rank 16 --num-layers 8
  metal-candle inspect --model ./model --adapter-path adapters --json";

/// Show data in figures, a row with its trained tokens marked, or a model's layers and those an adapter reaches
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub row: RowOptions,
    #[command(flatten)]
    pub keys: RowKeys,
    /// Folder of an adapter of PEFT or mlx-lm: show the layers that it reaches, or a row as its own tokenizer cuts it
    #[arg(long, value_name = "PATH", help_heading = "Adapter")]
    #[arg(conflicts_with_all = ["rank", "alpha", "scale", "dropout", "rslora", "targets", "modules_to_save", "num_layers"])]
    pub adapter_path: Option<PathBuf>,
    #[command(flatten)]
    pub adapter: AdapterOptions,
}

/// The data or row to show; without data the model's layers are shown.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Rows")]
pub struct RowOptions {
    /// Rows, as `train` takes them: counts, lengths, what is cut and what is there twice, and the first row
    #[arg(long, value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// Only this row: its line in the file, or its place in a list or Parquet file, counted from 1
    #[arg(long, value_name = "N", requires = "data", value_parser = at_least_one)]
    pub row: Option<usize>,
    /// Show the row token by token: place, id, whether the loss counts it, and text
    #[arg(long, requires = "data")]
    pub tokens: bool,
    /// Share of the rows that `train` would hold out [default: 0.05 of a single file or data set, nothing of a folder]
    #[arg(long, value_name = "P", requires = "data", value_parser = share_below_one)]
    pub valid_split: Option<f64>,
    /// Train only what the assistant says, or the completion
    #[arg(long, requires = "data")]
    pub mask_prompt: bool,
    /// Longest row in tokens, longer ones are cut [default: 2048, or the model's limit]
    #[arg(long, value_name = "N", requires = "data", value_parser = at_least_one)]
    pub max_seq_length: Option<usize>,
}

/// Shows a row or layers.
///
/// # Errors
/// When something that was given cannot be used.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.row.data.clone() {
        Some(path) => data::show(&args, &path, &context.terminal)?,
        None => layers::show(&args, &context.terminal)?,
    }
    Ok(Exit::Done)
}
