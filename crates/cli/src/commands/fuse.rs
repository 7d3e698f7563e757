use super::Context;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::loading;
use crate::output_folder;
use candle_core::DType;
use metal_candle::LanguageModel;
use metal_candle::files::NewFolder;
use metal_candle::gguf::GgufFile;
use metal_candle::models::{Config, copy_companions, save_checkpoint};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle fuse --model Qwen/Qwen3-0.6B --adapter-path adapters --save-path fused_model
  metal-candle generate --model fused_model -p \"Hello\"";

/// Merge an adapter into its model: a checkpoint that needs no adapter
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(long, value_name = "PATH", default_value = "adapters")]
    pub adapter_path: PathBuf,
    /// Where the checkpoint is written: a new or empty folder
    #[arg(long, value_name = "FOLDER", default_value = "fused_model")]
    pub save_path: PathBuf,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Merges and writes.
///
/// # Errors
/// When something that was given cannot be used, or the checkpoint cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    let advice = "choose another folder, or remove this one first";
    output_folder::check_new("--save-path", &args.save_path, advice)?;
    output_folder::check_writable("--save-path", &args.save_path)?;
    let adapter = Some(args.adapter_path.as_path());
    let mut loaded =
        loading::load_for((&args.model, adapter), None, &args.device.open()?, terminal)?;
    let adapter = loading::adapter(&loaded.model, &loaded.folder, &args.adapter_path)?;
    check_writable(&loaded.model.config, &args.model)?;
    if GgufFile::is_at(&loaded.folder) {
        // A folder of Hugging Face holds no blocks of GGUF.
        terminal.say("Unpacking the GGUF file's matrices to float16");
        loaded.model.unpack(DType::F16)?;
    }
    loaded.model.fuse(&adapter)?;
    write(loaded, &args)?;
    terminal.print_line(format_args!(
        "Saved the fused model in {}",
        args.save_path.display()
    ))?;
    Ok(Exit::Done)
}

/// Refusal of packed layers that cannot be written: an adapter may change dense ones only.
fn check_writable(config: &Config, name: &str) -> Result<()> {
    match &config.quantization {
        Some(quantization) if !quantization.is_writable() => {
            let error = Error::input(format!(
                "{name} is quantized in a format that is not written"
            ));
            Err(error
                .with_advice("leave the adapter beside the model: --adapter-path, without fuse"))
        }
        _ => Ok(()),
    }
}

/// Writes the checkpoint: the folder appears whole or not at all.
fn write(loaded: LanguageModel, args: &Args) -> Result<()> {
    let path = args.save_path.as_path();
    let new = NewFolder::begin(path)?;
    let tensors = loaded.model.decoder.tensors();
    save_checkpoint(new.path(), &loaded.model.raw_config, tensors)?;
    copy_companions(&loaded.folder, new.path())?;
    // The adapter was trained with the tokenizer that lies beside it, if one does.
    loading::copy_tokenizer(&args.adapter_path, new.path())?;
    output_folder::finish(new, path)
}
