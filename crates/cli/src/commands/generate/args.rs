use super::parsers;
use crate::cache_options::CacheOptions;
use crate::device::DeviceArgs;
use crate::load_options::LoadOptions;
use crate::mlx::{self, Accepted};
use crate::numbers;
use metal_candle::generate::Sampling;
use serde_json::{Map, Value};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle generate --model Qwen/Qwen3-0.6B -p \"Why is the sky blue?\"
  metal-candle generate --model ./model --adapter-path adapters -p \"3 March 2021\" --temp 0.7
  cat prompt.txt | metal-candle generate --model ./model -p - --json";

/// Continue a prompt, with or without an adapter
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model; that of --prompt-cache-file where it is left out
    #[arg(
        long,
        value_name = "MODEL",
        required_unless_present = "prompt_cache_file"
    )]
    pub model: Option<String>,
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(long, value_name = "PATH")]
    pub adapter_path: Option<PathBuf>,
    /// Merge the adapter into the weights first: faster for long texts
    #[arg(long, requires = "adapter_path")]
    pub merge: bool,
    /// What to continue; - reads standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: String,
    /// Go on behind the prompt that `cache-prompt` or mlx_lm.cache_prompt has read, which this file keeps
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    pub prompt_cache_file: Option<PathBuf>,
    /// What the chat template puts before the prompt
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system_prompt: Option<String>,
    /// Text that the answer begins with: the model goes on behind it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prefill_response: Option<String>,
    /// Give the prompt to the model as it is
    #[arg(long)]
    pub ignore_chat_template: bool,
    /// Variables of the chat template, for example {"enable_thinking": false}
    #[arg(long, value_name = "JSON", value_parser = parsers::object)]
    pub chat_template_config: Option<Map<String, Value>>,
    /// Most tokens to generate
    #[arg(short, long, value_name = "N", default_value_t = 100)]
    pub max_tokens: usize,
    /// End before this text, which may be a special token; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// End at this token as well; may be given several times, or with several tokens behind it
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub extra_eos_token: Vec<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub cache: CacheOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub sampling: SamplingOptions,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Generate>,
}

/// Sampling of tokens.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingOptions {
    /// Temperature; 0 takes the most likely token
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = parsers::not_negative, allow_negative_numbers = true)]
    pub temp: f32,
    /// Only the most likely tokens whose probabilities add up to this; 1 for all
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = parsers::share, allow_negative_numbers = true)]
    pub top_p: f32,
    /// Only tokens at least this times as likely as the most likely one; 0 for all
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parsers::share, allow_negative_numbers = true)]
    pub min_p: f32,
    /// Tokens that --min-p leaves at least
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers::at_least_one)]
    pub min_tokens_to_keep: usize,
    /// Probability of leaving out the likely tokens but the least likely of them (XTC); 0 for never
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parsers::share, allow_negative_numbers = true)]
    pub xtc_probability: f32,
    /// Probability over which XTC takes a token for a likely one
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = parsers::half, allow_negative_numbers = true)]
    pub xtc_threshold: f32,
    /// Only so many of the most likely tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top_k: usize,
    /// Make tokens that were there less likely; 1 for no difference
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parsers::positive, allow_negative_numbers = true)]
    pub repetition_penalty: f32,
    /// Number of tokens that the penalty looks back on
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub repetition_context_size: usize,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::seed)]
    pub seed: u64,
}

impl From<SamplingOptions> for Sampling {
    fn from(options: SamplingOptions) -> Self {
        Self {
            repetition_penalty: options.repetition_penalty,
            repetition_context: options.repetition_context_size,
            temperature: options.temp,
            top_k: options.top_k,
            top_p: options.top_p,
            min_p: options.min_p,
            min_tokens_to_keep: options.min_tokens_to_keep,
            xtc_probability: options.xtc_probability,
            xtc_threshold: options.xtc_threshold,
            seed: options.seed,
            ..Self::default()
        }
    }
}
