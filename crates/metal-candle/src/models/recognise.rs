//! Content of a folder that is no checkpoint of a model that is built: told in one sentence, before
//! any tensor is looked at.

use super::config::quantization::{METHODS, MLX, TRANSFORMERS};
use super::json::{CONFIG_LIMIT_BYTES, read_object, shown, shown_name};
use super::{Config, Error, Result, checkpoint};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// Content found in a folder instead of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An adapter of PEFT.
    PeftAdapter {
        /// The model that it belongs to, as the adapter names it.
        base_model: Option<String>,
    },
    /// An adapter of mlx-lm.
    MlxAdapter,
    /// Weights that are stored in another way.
    Weights {
        /// One of the files.
        file: String,
        /// Its format.
        format: &'static str,
    },
    /// Safetensors under names that no index lists.
    LooseSafetensors {
        /// One of the files.
        file: String,
    },
    /// Weights that are not plain floats.
    Quantized {
        /// How, as the configuration says.
        method: String,
    },
    /// A model of another kind.
    OtherKind {
        /// The kind.
        kind: &'static str,
        /// What tells it.
        sign: String,
    },
    /// A checkpoint in a folder below.
    Below {
        /// Path of that folder.
        folder: String,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeftAdapter { base_model: None } => {
                write!(f, "holds an adapter of PEFT, not a model")
            }
            Self::PeftAdapter {
                base_model: Some(base),
            } => write!(
                f,
                "holds an adapter of PEFT for the model {base}, not a model"
            ),
            Self::MlxAdapter => write!(f, "holds an adapter of mlx-lm, not a model"),
            Self::Weights { file, format } => {
                write!(
                    f,
                    "holds weights as {format} only ({file}); metal-candle reads safetensors"
                )
            }
            Self::LooseSafetensors { file } => write!(
                f,
                "holds {file}, but neither model.safetensors nor model.safetensors.index.json"
            ),
            Self::Quantized { method } => {
                write!(
                    f,
                    "holds a quantized model ({method}); metal-candle reads float16, bfloat16, float32, \
                     and what MLX, bitsandbytes and transformers' fp8 quantize"
                )
            }
            Self::OtherKind { kind, sign } => {
                write!(
                    f,
                    "holds {kind} ({sign}); metal-candle reads decoders of text"
                )
            }
            Self::Below { folder } => write!(f, "holds no config.json, but {folder} below it does"),
        }
    }
}

/// Looks at the configuration and the names of the files, so that what is no model is told before
/// anything large is read.
///
/// # Errors
/// When the folder holds no checkpoint of a model that is built.
pub fn check_folder(folder: &Path) -> Result<()> {
    Config::read(folder)?;
    if folder.is_file() {
        return Ok(());
    }
    checkpoint::file_names(folder).map(|_| ())
}

fn foreign(folder: &Path, found: Found) -> Error {
    Error::Foreign {
        folder: folder.to_path_buf(),
        found,
    }
}

/// Refuses a configuration of something else than a plain decoder of text.
pub(super) fn by_config(object: &Map<String, Value>, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    match quantization(object).or_else(|| other_kind(object)) {
        Some(found) => Err(foreign(folder, found)),
        None => Ok(()),
    }
}

/// Fields of quantized weights: those of transformers, of mlx-lm, and older ones of
/// compressed-tensors. mlx-lm's comes first, as it does there.
const QUANTIZATION: [&str; 4] = [MLX, TRANSFORMERS, "compression_config", "sparsity_config"];

fn quantization(object: &Map<String, Value>) -> Option<Found> {
    let is_set = |value: &&Value| {
        value
            .as_object()
            .map_or(!value.is_null(), |o| !o.is_empty())
    };
    let set = |name: &&str| object.get(*name).as_ref().is_some_and(is_set);
    let name = QUANTIZATION.into_iter().find(set)?;
    let settings = &object[name];
    let method = settings["quant_method"].as_str();
    let is_built = match name {
        MLX => method.is_none(),
        TRANSFORMERS => match method {
            Some(method) => METHODS.contains(&method),
            None => settings["load_in_4bit"] == true || settings["load_in_8bit"] == true,
        },
        _ => false,
    };
    if is_built {
        return None;
    }
    let method = match method {
        Some(method) => shown_name(method),
        None => format!("{name} = {}", shown(settings)),
    };
    Some(Found::Quantized { method })
}

/// Refuses a folder of another library, whatever its configuration says.
pub(super) fn by_files(folder: &Path) -> Result<()> {
    const SIGN: &str = "modules.json";
    match folder.join(SIGN).exists() {
        true => Err(foreign(folder, sentence_transformers(SIGN))),
        false => Ok(()),
    }
}

fn sentence_transformers(sign: &str) -> Found {
    Found::OtherKind {
        kind: "a sentence-transformers model",
        sign: sign.into(),
    }
}

/// Parts that only models of several kinds of input have.
const PARTS: [(&str, &str); 5] = [
    ("vision_config", "a model of images and text"),
    ("audio_config", "a model of sound and text"),
    ("text_config", "a model of several parts"),
    ("encoder", "an encoder and a decoder"),
    ("diffusers_version", "a part of a diffusers pipeline"),
];

/// Ends of architectures whose head is not that of a language model.
const OTHER_HEADS: [&str; 3] = ["Classification", "QuestionAnswering", "RewardModel"];

fn other_kind(object: &Map<String, Value>) -> Option<Found> {
    let is_set = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    if let Some((name, kind)) = PARTS.into_iter().find(|(name, _)| is_set(name)) {
        let sign = format!("{name} in config.json");
        return Some(Found::OtherKind { kind, sign });
    }
    let mut architectures = object.get("architectures")?.as_array()?.iter();
    let is_other = |name: &&str| OTHER_HEADS.iter().any(|end| name.ends_with(end));
    let name = architectures.find_map(|name| name.as_str().filter(|name| is_other(name)))?;
    Some(Found::OtherKind {
        kind: "a classifier",
        sign: shown_name(name),
    })
}

/// Ends of the names of tensors that quantized layers have beside their packed numbers: those of
/// MLX, GPTQ and AWQ, compressed-tensors and FP8, and bitsandbytes.
const QUANTIZED: [&str; 8] = [
    ".scales",
    ".qweight",
    ".qzeros",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
    ".absmax",
    ".SCB",
];

/// Refuses quantized tensors that the configuration says nothing of.
pub(super) fn by_tensors<'a>(
    folder: &Path,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    match names.find(|name| QUANTIZED.iter().any(|end| name.ends_with(end))) {
        None => Ok(()),
        Some(name) => {
            let method = format!("it has a tensor {}", shown_name(name));
            Err(foreign(folder, Found::Quantized { method }))
        }
    }
}

/// What is in a folder without `config.json`.
pub(super) fn instead_of_config(folder: &Path) -> Result<()> {
    let names = names(folder);
    let has = |name: &str| names.iter().any(|other| other == name);
    let pipeline = || Found::OtherKind {
        kind: "a diffusers pipeline",
        sign: "model_index.json".into(),
    };
    let found = adapter(folder, &names)
        .or_else(|| has("model_index.json").then(pipeline))
        .or_else(|| other_weights(&names))
        .or_else(|| below(folder, &names));
    match found {
        Some(found) => Err(foreign(folder, found)),
        None => Ok(()),
    }
}

/// Why a folder with `config.json` has no weights that can be read.
pub(super) fn instead_of_weights(folder: &Path) -> Error {
    let names = names(folder);
    match adapter(folder, &names).or_else(|| other_weights(&names)) {
        Some(found) => foreign(folder, found),
        None => Error::NoCheckpoint {
            folder: folder.to_path_buf(),
        },
    }
}

/// Most entries of a folder that are looked at.
const MOST_NAMES: usize = 10_000;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.take(MOST_NAMES).collect();
    names.sort();
    names
}

fn adapter(folder: &Path, names: &[String]) -> Option<Found> {
    const CONFIG: &str = "adapter_config.json";
    if !names.iter().any(|name| name == CONFIG) {
        return None;
    }
    // One that cannot be read is an adapter all the same.
    let config = read_object(&folder.join(CONFIG), CONFIG_LIMIT_BYTES).unwrap_or_default();
    if config.contains_key("fine_tune_type") {
        return Some(Found::MlxAdapter);
    }
    let base = config
        .get("base_model_name_or_path")
        .and_then(Value::as_str);
    Some(Found::PeftAdapter {
        base_model: base.map(shown_name),
    })
}

/// Ends of names, and the formats they tell.
const FORMATS: [(&str, &str); 14] = [
    (".gguf", "GGUF"),
    (".ggml", "GGML"),
    (".bin", "PyTorch's pickles"),
    (".bin.index.json", "PyTorch's pickles"),
    (".pt", "PyTorch's pickles"),
    (".pth", "PyTorch's pickles"),
    (".ckpt", "PyTorch's pickles"),
    (".onnx", "ONNX"),
    (".msgpack", "Flax"),
    (".h5", "TensorFlow"),
    (".npz", "NumPy"),
    (".mlpackage", "Core ML"),
    (".mlmodel", "Core ML"),
    (".tflite", "TensorFlow Lite"),
];

/// Beginnings of files that a trainer leaves, which are no weights.
const STATES: [&str; 5] = [
    "training_args",
    "optimizer",
    "scheduler",
    "rng_state",
    "random_states",
];

fn other_weights(names: &[String]) -> Option<Found> {
    let is_state = |name: &&String| STATES.iter().any(|start| name.starts_with(start));
    let mut weights = names.iter().filter(|name| !is_state(name));
    if let Some(file) = weights.clone().find(|name| name.ends_with(".safetensors")) {
        let file = shown_name(file);
        return Some(Found::LooseSafetensors { file });
    }
    weights.find_map(|file| {
        let (_, format) = FORMATS.into_iter().find(|(end, _)| file.ends_with(end))?;
        let file = shown_name(file);
        Some(Found::Weights { file, format })
    })
}

/// The first folder below that has a configuration; of a cache of the hub, a snapshot.
fn below(folder: &Path, names: &[String]) -> Option<Found> {
    let is_model = |name: &String| folder.join(name).join("config.json").exists();
    let snapshots = self::names(&folder.join("snapshots"));
    let snapshots = snapshots.iter().map(|name| format!("snapshots/{name}"));
    let found = names.iter().cloned().chain(snapshots).find(is_model)?;
    Some(Found::Below {
        folder: shown_name(&found),
    })
}
