//! Looking before training: what of a row is trained, or which layers an adapter would reach.

mod layers;
mod row;

use super::Context;
use crate::adapter_options::AdapterOptions;
use crate::device::DeviceArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::numbers::at_least_one;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle inspect --model Qwen/Qwen3-0.6B --data data/train.jsonl --row 3 --mask-prompt
  metal-candle inspect --model Qwen/Qwen3-0.6B --targets q_proj,v_proj --rank 16 --num-layers 8
  metal-candle inspect --model ./model --adapter-path adapters --json";

/// Show a row with its trained tokens marked, or a model's layers and those an adapter reaches
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
    /// Folder of an adapter of PEFT or mlx-lm: show the layers that it reaches, or a row as its own tokenizer cuts it
    #[arg(long, value_name = "PATH", help_heading = "Adapter")]
    #[arg(conflicts_with_all = ["rank", "alpha", "scale", "dropout", "rslora", "targets", "modules_to_save", "num_layers"])]
    pub adapter_path: Option<PathBuf>,
    #[command(flatten)]
    pub adapter: AdapterOptions,
}

/// The row to show; without a file the model's layers are shown.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Row")]
pub struct RowOptions {
    /// File of rows, as `train` takes them
    #[arg(long, value_name = "FILE.jsonl")]
    pub data: Option<PathBuf>,
    /// Line of the row in the file, counted from 1
    #[arg(long, value_name = "N", default_value = "1", requires = "data", value_parser = at_least_one)]
    pub row: usize,
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
        Some(file) => row::show(&args, &file, &context.terminal)?,
        None => layers::show(&args, &context.terminal)?,
    }
    Ok(Exit::Done)
}
