mod folder;
mod plan;

use super::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::mlx::{self, Accepted};
use crate::output_folder;
use candle_core::Device;
pub use folder::MlxFolder;
use metal_candle::LanguageModel;
use metal_candle::files::{self, NewFolder};
use metal_candle::gguf::Writer;
use metal_candle::models::{self, FileType, FolderType};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const EXAMPLES: &str = "\
Examples:
  metal-candle convert --model Qwen/Qwen3-0.6B --save-path qwen3.gguf --type q8_0
  metal-candle convert --model fused_model --save-path fused.gguf --type bf16
  metal-candle convert --model Qwen/Qwen3-0.6B --save-path qwen3-mxfp4 --type mxfp4
  metal-candle convert --hf-path Qwen/Qwen3-0.6B --mlx-path qwen3-8bit -q --q-bits 8";

/// Write a model as a GGUF file, which llama.cpp and the programs built on it read, or as a folder
///
/// Folders are read by transformers (f32, f16, bf16, and nf4 with bitsandbytes) and mlx-lm (f32, f16, bf16, affine, mxfp4, mxfp8
/// and nvfp4). Without --save-path the options are those of mlx_lm.convert.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder, GGUF file or Hugging Face id of the model
    #[arg(long, alias = "hf-path", value_name = "MODEL")]
    pub model: String,
    /// What is written: a new file NAME.gguf, or a new or empty folder
    #[arg(long, value_name = "PATH")]
    pub save_path: Option<PathBuf>,
    /// How matrices are stored. Of a file: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_k_s, q5_1, q5_0, q4_k_m, q4_k_s, q4_1 or q4_0;
    /// of a folder: f32, f16, bf16, affine (4 bits in groups of 64), mxfp4, mxfp8, nvfp4 or nf4
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "f16",
        requires = "save_path"
    )]
    pub form: Form,
    #[command(flatten)]
    pub folder: MlxFolder,
    #[command(flatten)]
    pub mlx: Accepted<mlx::Convert>,
}

/// Name of a type, which files have, folders have, or both.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    of_file: Option<FileType>,
    of_folder: Option<FolderType>,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let form = Self {
            of_file: name.parse().ok(),
            of_folder: name.parse().ok(),
        };
        if form.of_file.is_some() || form.of_folder.is_some() {
            return Ok(form);
        }
        let of_files: Vec<_> = FileType::names().collect();
        let of_folders: Vec<_> = FolderType::names().collect();
        Err(format!(
            "must be one of {}, or of a folder {}",
            of_files.join(", "),
            of_folders.join(", ")
        ))
    }
}

/// Reads and writes.
///
/// # Errors
/// When the model cannot be read, llama.cpp has no such model, or what was asked for cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let (option, path) = match &args.save_path {
        Some(path) => ("--save-path", path.as_path()),
        None => ("--mlx-path", args.folder.mlx_path.as_path()),
    };
    output_folder::check_new(
        option,
        path,
        "choose another path, or remove this one first",
    )?;
    output_folder::check_writable(option, path)?;
    let target = Target::of(&args)?;
    let loaded = loading::load(
        &args.model,
        LoadOptions::default(),
        &Device::Cpu,
        &context.terminal,
    )?;
    target.save(loaded, path)?;
    let path = path.display();
    context
        .terminal
        .print_line(format_args!("Saved the model in {path}"))?;
    Ok(Exit::Done)
}

/// Form of what is written.
enum Target {
    File(FileType),
    Folder(FolderType),
    Mlx(plan::Plan),
}

impl Target {
    /// What the options ask for.
    fn of(args: &Args) -> Result<Self> {
        match &args.save_path {
            Some(path) => Self::at(path, args.form),
            None => Ok(Self::Mlx(args.folder.plan()?)),
        }
    }

    /// What the ending of the path and the type ask for.
    fn at(save_path: &Path, form: Form) -> Result<Self> {
        let path = save_path.display();
        let is_file = output_folder::is_gguf_file(save_path);
        match (is_file, form.of_file, form.of_folder) {
            (true, Some(file_type), _) => Ok(Self::File(file_type)),
            (false, _, Some(form)) => Ok(Self::Folder(form)),
            (true, None, _) => {
                let error = format!("--save-path {path} is a file, and --type one of folders");
                Err(Error::input(error).with_advice(
                    "name a folder, without .gguf, or choose a type of GGUF files: q8_0",
                ))
            }
            (false, ..) => {
                let error = format!("--save-path {path} is a folder, and --type one of GGUF files");
                Err(Error::input(error).with_advice(format!("name a file: {path}.gguf")))
            }
        }
    }

    fn save(self, mut loaded: LanguageModel, path: &Path) -> Result<()> {
        let dtype = match self {
            Self::File(file_type) => {
                if let Some(folder) = path.parent() {
                    files::make_folder(folder)?;
                }
                return write(&loaded, path, file_type);
            }
            Self::Folder(form) => {
                loaded.model.store_as(form)?;
                None
            }
            Self::Mlx(plan) => plan.store(&mut loaded.model)?,
        };
        let new = NewFolder::begin(path)?;
        plan::add(&loaded, new.path(), dtype)?;
        output_folder::finish(new, path)
    }
}

/// Writes a checkpoint into a folder, with the files that lie beside one.
///
/// # Errors
/// When the folder cannot be written.
pub fn add_to_folder(loaded: &LanguageModel, path: &Path) -> Result<()> {
    plan::add(loaded, path, None)
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
