mod loss;
mod report;
mod target;

use super::{Context, convert};
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::numbers::not_negative;
use crate::output_folder;
use crate::row_keys::RowKeys;
use crate::terminal::Terminal;
use candle_core::DType;
use loss::Losses;
use metal_candle::LanguageModel;
use metal_candle::files::{self, NewFolder};
use metal_candle::gguf::GgufFile;
use metal_candle::lora::AdapterSet;
use metal_candle::models::{FileType, Model};
use report::Report;
use std::path::{Component, Path, PathBuf};
use target::Target;

/// Keys under which a configuration says how matrices are packed.
const PACKINGS: [&str; 2] = ["quantization", "quantization_config"];

const EXAMPLES: &str = "\
Examples:
  metal-candle fuse --model Qwen/Qwen3-0.6B --adapter-path adapters --save-path fused_model
  metal-candle fuse --model model-q4_k_m.gguf --save-path fused.gguf --data data/valid.jsonl
  metal-candle generate --model fused_model -p \"Hello\"";

/// Merge an adapter into its model: a checkpoint that needs no adapter
///
/// Quantized matrices are quantized again, with their own bits and groups, and rounding to these may lose much of a small update: the
/// report says how much of it is left in every layer.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(long, value_name = "PATH", default_value = "adapters")]
    pub adapter_path: PathBuf,
    /// Where the checkpoint is written: a new or empty folder, or, of a GGUF file, a new file NAME.gguf of the same types
    #[arg(long, value_name = "FOLDER", default_value = "fused_model")]
    pub save_path: PathBuf,
    /// Unpack the matrices of a quantized model: the checkpoint is not quantized
    #[arg(long)]
    pub dequantize: bool,
    /// Share of the update that must be left in quantized matrices, as the median over layers; 0 allows any
    #[arg(long, value_name = "SHARE", default_value_t = report::MIN_SURVIVAL, value_parser = not_negative)]
    pub min_survival: f64,
    /// File of rows: its loss with the adapter beside the model, and of what was written
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Count only what the assistant says, or the completion, of these rows
    #[arg(long, requires = "data")]
    pub mask_prompt: bool,
    /// Print the report as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Write the model as a GGUF file as well, in float16, into the same folder
    #[arg(long)]
    pub export_gguf: bool,
    /// Name of that file
    #[arg(long, value_name = "NAME", default_value = "ggml-model-f16.gguf", value_parser = file_name)]
    pub gguf_path: String,
    #[command(flatten)]
    pub keys: RowKeys,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Fuse>,
}

/// Merges, tells what is left of the adapter, and writes.
///
/// # Errors
/// When something that was given cannot be used, too little of the adapter is left, or the checkpoint cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let terminal = &context.terminal;
    let target = Target::of(&args)?;
    let adapter = Some(args.adapter_path.as_path());
    let mut loaded = loading::load_for(
        (&args.model, adapter),
        LoadOptions::default(),
        &args.device.open()?,
        terminal,
    )?;
    let file_type = target.check(&loaded, &args)?;
    let adapter = loading::adapter(&loaded.model, &loaded.folder, &args.adapter_path)?;
    let losses = Losses::before(&args, &loaded, &adapter, terminal)?;
    let mut report = fuse(&mut loaded, &adapter, &target, &args, terminal)?;
    report.check(&args, terminal)?;
    match file_type {
        Some(file_type) => write_gguf(&loaded, file_type, &args.save_path)?,
        None => write(loaded, &args)?,
    }
    report.loss = losses
        .map(|losses| losses.after(&args, terminal))
        .transpose()?;
    report.tell(&args, terminal)?;
    Ok(Exit::Done)
}

/// Merges in the form that is to be written.
fn fuse(
    loaded: &mut LanguageModel,
    adapter: &AdapterSet,
    target: &Target,
    args: &Args,
    terminal: &Terminal,
) -> Result<Report> {
    let is_gguf = GgufFile::is_at(&loaded.folder);
    match target {
        Target::Folder if is_gguf => {
            // A folder of Hugging Face holds no blocks of GGUF.
            terminal.say(
                "Unpacking the GGUF file's matrices to float16; --save-path NAME.gguf keeps their types",
            );
            loaded.model.unpack(DType::F16)?;
        }
        Target::Folder if args.dequantize => dequantize(&mut loaded.model, terminal)?,
        Target::Folder => check_writable(&loaded.model, &args.model)?,
        Target::Gguf => {}
    }
    Ok(Report::new(loaded.model.fuse_as_stored(adapter)?))
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
    let dtype = model.named_dtype();
    terminal.say(format_args!("Unpacking the matrices to {}", dtype.as_str()));
    Ok(model.unpack(dtype)?)
}

/// Refusal of packed layers that cannot be written.
fn check_writable(model: &Model, name: &str) -> Result<()> {
    match &model.config.quantization {
        Some(quantization) if !quantization.is_writable() => {
            let mut kinds = model.decoder.packed().map(|(_, weight)| weight.kind());
            let kind = kinds.next().unwrap_or_default();
            let error = Error::input(format!(
                "{name} is quantized as {kind}, a format that is not written"
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
    convert::add_to_folder(&loaded, new.path())?;
    if args.export_gguf {
        convert::write(&loaded, &new.path().join(&args.gguf_path), FileType::F16)?;
    }
    // The adapter was trained with the tokenizer that lies beside it, if one does.
    loading::copy_tokenizer(&args.adapter_path, new.path())?;
    output_folder::finish(new, path)
}

/// Writes a GGUF file with matrices of the types that they have.
fn write_gguf(loaded: &LanguageModel, file_type: u32, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    convert::write_with(loaded, path, |writer| {
        loaded.model.add_to_gguf_as_stored(writer, file_type)
    })
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
