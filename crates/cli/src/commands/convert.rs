use super::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::output_folder;
use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::files;
use metal_candle::gguf::Writer;
use metal_candle::models::{self, FileType};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  metal-candle convert --model Qwen/Qwen3-0.6B --save-path qwen3.gguf --type q8_0
  metal-candle convert --model fused_model --save-path fused.gguf --type bf16";

/// Write a model as a GGUF file, which llama.cpp and the programs built on it read
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, alias = "hf-path", value_name = "MODEL")]
    pub model: String,
    /// The file that is written: a new one
    #[arg(long, value_name = "FILE.gguf")]
    pub save_path: PathBuf,
    /// How matrices are stored: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q5_1, q5_0, q4_k_m, q4_k_s, q4_1 or q4_0
    #[arg(long = "type", value_name = "TYPE", default_value = "f16")]
    pub file_type: FileType,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Convert>,
}

/// Reads and writes.
///
/// # Errors
/// When the model cannot be read, llama.cpp has no such model, or the file cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    if args.save_path.exists() {
        let path = args.save_path.display();
        return Err(Error::input(format!("--save-path {path} exists"))
            .with_advice("choose another file, or remove this one first"));
    }
    output_folder::check_writable("--save-path", &args.save_path)?;
    let loaded = loading::load(&args.model, None, &Device::Cpu, &context.terminal)?;
    if let Some(folder) = args.save_path.parent() {
        files::make_folder(folder)?;
    }
    write(&loaded, &args.save_path, args.file_type)?;
    let path = args.save_path.display();
    context
        .terminal
        .print_line(format_args!("Saved the model in {path}"))?;
    Ok(Exit::Done)
}

/// Writes a model as the file `path`, and reads it again.
///
/// # Errors
/// When llama.cpp has no such model, or the file cannot be written; then it is not there.
pub fn write(loaded: &LanguageModel, path: &Path, file_type: FileType) -> Result<()> {
    write_with(loaded, path, |writer| {
        loaded.model.add_to_gguf(writer, file_type)
    })
}

/// [`write`] with a model that `add` adds.
///
/// # Errors
/// As [`write`].
pub fn write_with<'a>(
    loaded: &'a LanguageModel,
    path: &Path,
    add: impl FnOnce(&mut Writer<'a>) -> models::Result<()>,
) -> Result<()> {
    let mut writer = Writer::default();
    add(&mut writer)?;
    loaded
        .tokenizer
        .add_to_gguf(&mut writer, loaded.model.config.vocab_size)?;
    writer.write(path)?;
    let checked = loaded.model.check_gguf(path);
    if checked.is_err() {
        files::remove(path)?;
    }
    Ok(checked?)
}
