use super::compat::Compat;
use super::every::{Every, every};
use super::optimizer::OptimizerOptions;
use super::preference::PreferenceOptions;
use super::services::{Service, project_name, service};
use crate::adapter_options::AdapterOptions;
use crate::device::DeviceArgs;
use crate::load_options::LoadOptions;
use crate::mlx::{self, Accepted};
use crate::numbers::{
    MAX_COUNT, at_least_one, count, not_negative, not_zero, seed, share_below_one, size,
};
use crate::row_keys::RowKeys;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use metal_candle::lora::Method;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle train --model Qwen/Qwen3-0.6B --data data --mask-prompt
  metal-candle train --model ./model --data data --rank 16 --targets q_proj,v_proj --num-layers -1
  metal-candle train --model ./model --data alpaca.json --num-epochs 3
  metal-candle train --model ./model --data hf://datasets/openai/gsm8k/main
  metal-candle train --model ./model --data pairs.jsonl --train-mode dpo --learning-rate 1e-5
  metal-candle train -c lora.yaml --iters 200
  metal-candle train --model ./model --data data --resume-adapter-file adapters
  metal-candle train --model ./model --data data --steps-per-eval 0.05 --early-stopping-patience 3 \\
    --load-best-model-at-end --save-total-limit 2

A row has \"prompt\" and \"completion\", \"messages\", \"text\", or the columns of another known shape:
alpaca's, ShareGPT's \"conversations\", \"question\" and \"answer\", ... or those that --prompt-key and
the like name; `metal-candle inspect --data` shows how it is read. Of a single file 5 % of the rows
are held out to watch the loss on (--valid-split). The adapter folder gets
a PEFT adapter, metrics.jsonl, report.html, and every --save-every steps a folder checkpoint-N, from which
--resume-adapter-file goes on to the bit. Settings are kept in run.json.

The configuration file has mlx-lm's keys (learning_rate, lora_parameters, lr_schedule, ...); what
the command line says wins. In a file of mlx-lm's its defaults and rules hold (docs/mlx-lm.md);
\"compat: none\" in it asks for those told here.";

/// Fine-tune a model: a LoRA adapter, or all weights
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL", required_unless_present = "config")]
    pub model: Option<String>,
    /// Rows: a folder with train.jsonl and, if wanted, valid.jsonl and test.jsonl; a file (JSONL, JSON, CSV, TSV or
    /// Parquet, plain or .gz); - for standard input; or a data set of the Hugging Face hub (OWNER/NAME, or
    /// hf://datasets/OWNER/NAME/FOLDER)
    #[arg(long, value_name = "DATA", required_unless_present = "config")]
    pub data: Option<PathBuf>,
    /// Configuration file (YAML) with mlx-lm's keys
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whose defaults and rules hold; mlx where --config is a file of mlx-lm's
    #[arg(long, value_name = "WHOSE", hide = true)]
    pub compat: Option<Compat>,
    /// Where the adapter is written
    #[arg(long, value_name = "FOLDER", default_value = "adapters")]
    pub adapter_path: PathBuf,
    /// Replace the adapter or model of another run in --adapter-path
    #[arg(long)]
    pub overwrite: bool,
    /// Train; implied where --test is not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub train: Option<bool>,
    /// Tell the loss on test.jsonl: of the adapter in --adapter-path, or with --train of what was trained
    #[arg(long)]
    pub test: bool,
    /// What is trained: an adapter (lora; dora, which also trains the length of each weight's rows; or
    /// loha, two low-rank updates multiplied element by element), or all weights (full), which gives a
    /// whole checkpoint
    #[arg(long, value_name = "TYPE", default_value = "lora", value_parser = fine_tune_type())]
    pub fine_tune_type: FineTuneType,
    /// Go on with an adapter of PEFT or mlx-lm (folder or file): its rank, alpha and targets are kept
    #[arg(long, value_name = "PATH")]
    pub resume_adapter_file: Option<PathBuf>,
    /// Seed of the adapter's start, the order of rows and dropout
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = seed)]
    pub seed: u64,
    /// Most memory of the process, such as 8GB: where the run would take more, its batches are cut into micro-batches and
    /// blocks computed again (--grad-checkpoint), which gives the same steps, or it is refused before it begins
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory_limit: Option<usize>,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub device: DeviceArgs,

    #[command(flatten)]
    pub adapter: AdapterOptions,
    /// Special tokens that the tokenizer gets, with a comma between or by the option again; of the embedding and the head
    /// their rows alone are trained, and lie with the tokenizer beside the adapter
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', value_parser = token, help_heading = "Adapter")]
    #[arg(conflicts_with = "resume_adapter_file")]
    pub add_tokens: Vec<String>,
    #[command(flatten)]
    pub rows: RowOptions,
    #[command(flatten)]
    pub keys: RowKeys,
    #[command(flatten)]
    pub preference: PreferenceOptions,
    #[command(flatten)]
    pub optimizer: OptimizerOptions,
    #[command(flatten)]
    pub reports: ReportOptions,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Lora>,
}

/// Rows that a step sees, and how much of them.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Rows")]
pub struct RowOptions {
    /// Train only what the assistant says, or the completion
    #[arg(long)]
    pub mask_prompt: bool,
    /// Rows that are computed at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = not_zero)]
    pub batch_size: NonZeroUsize,
    /// Batches whose gradients make one optimizer step
    #[arg(long, value_name = "N", default_value = "1", value_parser = not_zero)]
    pub grad_accumulation_steps: NonZeroUsize,
    /// Longest row in tokens, longer ones are cut [default: 2048, or the model's limit]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_seq_length: Option<usize>,
    /// Share of the rows that is held out to watch the loss on, where there are no others; the same rows in every run
    /// [default: 0.05 of a single file or data set, nothing of a folder]
    #[arg(long, value_name = "P", value_parser = share_below_one)]
    pub valid_split: Option<f64>,
    /// Lay the rows of a batch behind each other instead of padding them: the same losses and gradients, in less time
    /// and memory where lengths differ; left out, it is done on the CPU, but for runs with dropout or mlx-lm's rules
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(overrides_with = "no_packing")]
    pub packing: Option<bool>,
    /// Pad the rows of a batch to one length
    #[arg(long, overrides_with = "packing")]
    pub no_packing: bool,
    /// Strength of uniform noise in the embeddings while training (NEFTune; 5 is usual); 0 for none
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
    pub neftune_noise_alpha: f64,
    /// Compute blocks again in backward instead of keeping them: less memory, more time
    #[arg(long)]
    pub grad_checkpoint: bool,
}

/// Reports and saves, and how often they come.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Reports and saves")]
pub struct ReportOptions {
    /// Steps between reports
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub steps_per_report: usize,
    /// Steps between evaluations on valid.jsonl, or a share of all steps (0.1); 0 for one before and one after
    /// training
    #[arg(long, value_name = "N", default_value = "200", value_parser = every)]
    pub steps_per_eval: Every,
    /// Batches of an evaluation; -1 for all, 0 for no evaluation
    #[arg(long, value_name = "N", default_value = "25", value_parser = parse_count)]
    pub val_batches: Count,
    /// Batches of the --test evaluation; -1 for all
    #[arg(long, value_name = "N", default_value = "500", value_parser = parse_some)]
    pub test_batches: Count,
    /// Steps between saves, or a share of all steps; 0 to save at the end only
    #[arg(long, value_name = "N", default_value = "100", value_parser = every)]
    pub save_every: Every,
    /// Keep so many checkpoints and remove the oldest; the newest and the best always stay
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub save_total_limit: Option<usize>,
    /// Leave what gave the lowest validation loss, which is saved when it is found, and not what came last
    #[arg(long)]
    pub load_best_model_at_end: bool,
    /// End the run after so many evaluations in a row without a lower validation loss
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub early_stopping_patience: Option<usize>,
    /// Decrease of the validation loss that is not lower enough for --early-stopping-patience
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = not_negative)]
    #[arg(requires = "early_stopping_patience")]
    pub early_stopping_threshold: f64,
    /// Leave out the checks at the end of the training (metal-candle verify)
    #[arg(long)]
    pub no_verify: bool,
    /// Rows of valid.jsonl whose prompts are answered at the end, by the model alone and with the adapter; 0 for none
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    pub sample_prompts: usize,
    /// Leave out report.html at the end of the training (metal-candle report)
    #[arg(long)]
    pub no_report: bool,
    /// Where figures go beside metrics.jsonl: tensorboard, for event files in --adapter-path, or none
    #[arg(long, value_name = "SERVICE", value_parser = service)]
    pub report_to: Option<Service>,
    /// Name of the run in report.html and TensorBoard
    #[arg(long, value_name = "NAME", value_parser = project_name)]
    pub project_name: Option<String>,
}

/// The part of a model that is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FineTuneType {
    /// Adapters of a method.
    Adapter(Method),
    /// All weights.
    Full,
}

/// Parser of a [`FineTuneType`]: the name of a method, or `full`.
fn fine_tune_type() -> impl TypedValueParser<Value = FineTuneType> {
    let names = Method::ADAPTERS.map(Method::name).into_iter();
    let names = PossibleValuesParser::new(names.chain(["full"]));
    names.map(|name| Method::of_name(&name).map_or(FineTuneType::Full, FineTuneType::Adapter))
}

/// A text that can be a token.
fn token(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("a token is a text that is not blank".into()),
        false => Ok(text.into()),
    }
}

/// A number of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// All there are.
    All,
    /// So many.
    UpTo(usize),
}

fn parse_count(text: &str) -> Result<Count, String> {
    match text {
        "-1" => Ok(Count::All),
        _ => count(text)
            .map(Count::UpTo)
            .map_err(|_| format!("must be -1 for all, or a whole number from 0 to {MAX_COUNT}")),
    }
}

fn parse_some(text: &str) -> Result<Count, String> {
    match parse_count(text)? {
        Count::UpTo(0) => Err("must be -1, or 1 or more".into()),
        count => Ok(count),
    }
}
