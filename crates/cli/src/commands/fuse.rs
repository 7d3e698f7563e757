use super::{Context, convert};
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::output_folder;
use crate::terminal::Terminal;
use candle_core::DType;
use metal_candle::LanguageModel;
use metal_candle::files::NewFolder;
use metal_candle::gguf::GgufFile;
use metal_candle::models::{Config, FileType, Model, copy_companions, save_checkpoint};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// Keys under which a configuration says how matrices are packed.
const PACKINGS: [&str; 2] = ["quantization", "quantization_config"];

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
    /// Unpack the matrices of a quantized model: the checkpoint is not quantized
    #[arg(long)]
    pub dequantize: bool,
    /// Write the model as a GGUF file as well, in float16, into the same folder
    #[arg(long)]
    pub export_gguf: bool,
    /// Name of that file
    #[arg(long, value_name = "NAME", default_value = "ggml-model-f16.gguf", value_parser = file_name)]
    pub gguf_path: String,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Fuse>,
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
    if GgufFile::is_at(&loaded.folder) {
        // A folder of Hugging Face holds no blocks of GGUF.
        terminal.say("Unpacking the GGUF file's matrices to float16");
        loaded.model.unpack(DType::F16)?;
    } else if args.dequantize {
        dequantize(&mut loaded.model, terminal)?;
    } else {
        check_writable(&loaded.model.config, &args.model)?;
    }
    loaded.model.fuse(&adapter)?;
    write(loaded, &args)?;
    terminal.print_line(format_args!(
        "Saved the fused model in {}",
        args.save_path.display()
    ))?;
    Ok(Exit::Done)
}

/// Unpacks matrices to the dtype that the configuration gives, and takes the packing out of it.
fn dequantize(model: &mut Model, terminal: &Terminal) -> Result<()> {
    let config = model.raw_config.as_object_mut();
    let Some(config) = config.filter(|config| PACKINGS.iter().any(|key| config.contains_key(*key)))
    else {
        tracing::warn!("--dequantize changes nothing: the model is not quantized");
        return Ok(());
    };
    for key in PACKINGS {
        config.remove(key);
    }
    let named = ["dtype", "torch_dtype"]
        .iter()
        .find_map(|key| config.get(*key));
    let dtype = match named.and_then(Value::as_str) {
        Some("float32") => DType::F32,
        Some("bfloat16") => DType::BF16,
        _ => DType::F16,
    };
    terminal.say(format_args!("Unpacking the matrices to {}", dtype.as_str()));
    Ok(model.unpack(dtype)?)
}

/// Refusal of packed layers that cannot be written: an adapter may change dense ones only.
fn check_writable(config: &Config, name: &str) -> Result<()> {
    match &config.quantization {
        Some(quantization) if !quantization.is_writable() => {
            let error = Error::input(format!(
                "{name} is quantized in a format that is not written"
            ));
            Err(error.with_advice(
                "unpack it with --dequantize, or leave the adapter beside the model: --adapter-path, without fuse",
            ))
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
    if args.export_gguf {
        convert::write(&loaded, &new.path().join(&args.gguf_path), FileType::F16)?;
    }
    copy_companions(&loaded.folder, new.path())?;
    // The adapter was trained with the tokenizer that lies beside it, if one does.
    loading::copy_tokenizer(&args.adapter_path, new.path())?;
    output_folder::finish(new, path)
}

/// A name without a folder: the file is part of what is written whole or not at all.
fn file_name(text: &str) -> std::result::Result<String, String> {
    let mut parts = Path::new(text).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(text.to_string()),
        _ => Err(
            "expected the name of a file, without a folder: it is written into --save-path".into(),
        ),
    }
}
