use crate::commands::generate::parsers;
use crate::device::DeviceArgs;
use crate::load_options::LoadOptions;
use crate::mlx::{self, Accepted};
use crate::numbers;
use metal_candle_serve::Settings;
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  metal-candle server --model Qwen/Qwen3-0.6B
  metal-candle server --model ./model --adapter-path adapters
  metal-candle server --model ./model --adapter-path dates=run-1 --adapter-path sql=run-2 --port 0

Requests name what answers: \"model\": \"dates\". Ctrl-C finishes the answers that are under way.";

/// Answer over HTTP as OpenAI's interface does, with any number of adapters
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of an adapter of PEFT or mlx-lm, which answers unless a request names another model; or NAME=PATH, which
    /// answers requests that name it; may be given several times
    #[arg(long, value_name = "[NAME=]PATH")]
    pub adapter_path: Vec<String>,
    /// Name or address to listen at
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port; 0 takes one that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Web pages that may ask, separated by commas; * for all
    #[arg(
        long,
        value_name = "ORIGINS",
        value_delimiter = ',',
        default_value = "*"
    )]
    pub allowed_origins: Vec<String>,
    /// Key that requests must carry: "Authorization: Bearer KEY"
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Chat template, in place of the tokenizer's
    #[arg(long, value_name = "TEMPLATE")]
    pub chat_template: Option<String>,
    /// Variables of the chat template, for example {"enable_thinking": false}
    #[arg(long, value_name = "JSON", value_parser = parsers::object)]
    pub chat_template_args: Option<Map<String, Value>>,
    #[command(flatten)]
    pub answers: Answers,
    #[command(flatten)]
    pub engine: EngineOptions,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Server>,
}

/// Values of requests that say nothing.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Where a request says nothing")]
pub struct Answers {
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = numbers::at_least_one)]
    pub max_tokens: usize,
    /// Temperature; 0 takes the most likely token
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = parsers::not_negative, allow_negative_numbers = true)]
    pub temp: f32,
    /// Only the most likely tokens whose probabilities add up to this; 1 for all
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = parsers::share, allow_negative_numbers = true)]
    pub top_p: f32,
    /// Only so many of the most likely tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top_k: usize,
    /// Only tokens at least this times as likely as the most likely one; 0 for all
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parsers::share, allow_negative_numbers = true)]
    pub min_p: f32,
}

/// Work that is done at once.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Work")]
pub struct EngineOptions {
    /// Texts that are generated at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = numbers::at_least_one)]
    pub decode_concurrency: usize,
    /// Texts that may wait for their turn; further ones are refused with 503
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_waiting: usize,
    /// Prompt tokens that are read between two tokens of the texts
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = numbers::at_least_one)]
    pub prefill_step_size: usize,
}

impl Args {
    /// Settings of the server.
    pub fn settings(&self) -> Settings {
        Settings {
            concurrency: self.engine.decode_concurrency,
            queue: self.engine.max_waiting,
            prefill_tokens: self.engine.prefill_step_size,
            allowed_origins: self.allowed_origins.clone(),
            api_key: self.api_key.clone(),
            max_tokens: self.answers.max_tokens,
            temperature: self.answers.temp,
            top_p: self.answers.top_p,
            top_k: self.answers.top_k,
            min_p: self.answers.min_p,
        }
    }
}
