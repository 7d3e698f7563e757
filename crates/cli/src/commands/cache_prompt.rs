use super::Context;
use super::generate::{adapter_name, kept_prompt};
use crate::cache_options::CacheOptions;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::output_folder::check_writable;
use metal_candle::LanguageModel;
use metal_candle::files;
use metal_candle::generate::read_prompt;
use metal_candle::models::PromptCacheInfo;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  metal-candle cache-prompt --model Qwen/Qwen3-0.6B --prompt-cache-file book.safetensors -p - < book.txt
  metal-candle generate --prompt-cache-file book.safetensors -p \"Who is the captain?\"";

/// Keep what a model makes of a prompt, for `generate --prompt-cache-file`
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(long, value_name = "PATH")]
    pub adapter_path: Option<PathBuf>,
    /// File that is written; one of this name is replaced
    #[arg(long, value_name = "FILE")]
    pub prompt_cache_file: PathBuf,
    /// Beginning of what the user says; - reads standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: String,
    /// Give the prompt to the model as it is
    #[arg(long)]
    pub ignore_chat_template: bool,
    /// Token that ends texts which go on from the file
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub eos_token: Option<String>,
    #[command(flatten)]
    pub weights: LoadOptions,
    #[command(flatten)]
    pub cache: CacheOptions,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub mlx: Accepted<mlx::CachePrompt>,
}

/// Reads the prompt, and writes its keys and values.
///
/// # Errors
/// When something that was given cannot be used, the model fails, or the file cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let (terminal, path) = (&context.terminal, args.adapter_path.as_deref());
    let folder = folder(&args.prompt_cache_file);
    check_writable("--prompt-cache-file", folder)?;
    let device = args.device.open()?;
    let loaded = loading::load_for((&args.model, path), args.weights, &device, terminal)?;
    let adapter = path.map(|path| loading::adapter(&loaded.model, &loaded.folder, path));
    let info = info(&args, &loaded)?;
    let prompt = kept_prompt(&args.prompt, args.ignore_chat_template, &loaded.tokenizer)?;
    let decoder = &loaded.model.decoder;
    let cache = read_prompt(decoder, &prompt, adapter.transpose()?, args.cache.form())?;
    files::make_folder(folder)?;
    decoder.write_cache(&args.prompt_cache_file, &cache, &info)?;
    terminal.say(format_args!(
        "Wrote {} tokens to {}",
        prompt.len(),
        args.prompt_cache_file.display()
    ));
    Ok(Exit::Done)
}

/// Folder of the file that is written.
fn folder(file: &Path) -> &Path {
    let parent = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn info(args: &Args, loaded: &LanguageModel) -> Result<PromptCacheInfo> {
    if let Some(token) = &args.eos_token
        && loaded.tokenizer.token_to_id(token).is_none()
    {
        return Err(Error::input(format!(
            "--eos-token {token:?} is not in the tokenizer's vocabulary"
        )));
    }
    Ok(PromptCacheInfo {
        model: args.model.clone(),
        adapter: Some(adapter_name(args.adapter_path.as_deref())),
        eos_token: args.eos_token.clone(),
    })
}
