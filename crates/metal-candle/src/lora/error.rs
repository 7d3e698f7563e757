use super::format::Inexpressible;
use std::path::PathBuf;

/// Problems that are listed; the rest is counted.
const LISTED: usize = 20;

/// Characters of a name or value from a file that are shown.
const SHOWN: usize = 200;

/// Error in an adapter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside its range.
    #[error("{what} must be {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        what: &'static str,
        /// The accepted range.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// Targets, or a pattern, name no layer of this model.
    #[error("{what} {pattern} matches no layer; this model has: {}", available.join(", "))]
    NoMatch {
        /// Name of the setting.
        what: &'static str,
        /// The pattern as given.
        pattern: String,
        /// Names that would match, without their block.
        available: Vec<String>,
    },
    /// A setting that changes what an adapter on this layer computes.
    #[error("{path}: {what} is not built")]
    NotBuilt {
        /// Path of the layer.
        path: String,
        /// Name of the setting.
        what: &'static str,
    },
    /// A token whose row is trained is none of the model's.
    #[error(
        "trainable_token_indices: token {id} is out of range: the model's vocabulary has {vocab_size} tokens"
    )]
    NoToken {
        /// The token.
        id: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A regular expression does not parse, or tries too many ways to match.
    #[error("{what}: {pattern} cannot be used as a regular expression: {reason}")]
    Regex {
        /// Name of the setting.
        what: &'static str,
        /// The expression.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// A plan or a set of adapters is for a model with other layers.
    #[error("an adapter is for {path}, and this model has no such layer")]
    NoLayer {
        /// Path of the layer.
        path: String,
    },
    /// Factors that others began as a part of a weight, which is not known here to the last bit.
    #[error(
        "{path}: what its factors began as (init_lora_weights = {init}) is not known of this weight"
    )]
    Beginning {
        /// Path of the layer.
        path: String,
        /// Name of the initialisation.
        init: String,
    },
    /// Factors that began as a part of the weights of a model that was not named.
    #[error(
        "what its factors began as (init_lora_weights = {init}), the weights of its model tell"
    )]
    OfWeights {
        /// Name of the initialisation.
        init: String,
    },
    /// The adapters do not fit into memory.
    #[error("the adapters take {bytes} bytes, which the system does not give")]
    Memory {
        /// Bytes of all adapters in float32.
        bytes: usize,
    },
    /// A configuration file holds a setting that this model, or any, cannot take.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// There is something else than an adapter.
    #[error("{} {found}", path.display())]
    NotAnAdapter {
        /// The folder or file.
        path: PathBuf,
        /// What is there.
        found: Found,
    },
    /// The adapter file asks for something that would change the result and is not built.
    #[error("{}: {}; metal-candle refuses what it cannot compute exactly", path.display(), listed(refused, "; "))]
    Unsupported {
        /// The adapter's configuration file.
        path: PathBuf,
        /// Every such field.
        refused: Vec<Refusal>,
    },
    /// The tensors of an adapter file are not those its configuration calls for.
    #[error("{} does not fit this model:\n  {}", path.display(), listed(problems, "\n  "))]
    Mismatch {
        /// The tensor file.
        path: PathBuf,
        /// Every missing, unexpected, misshaped and unusable tensor.
        problems: Vec<Problem>,
    },
    /// A format has no way to say what an adapter is.
    #[error("{tool} cannot express: {}", listed(reasons, "; "))]
    Inexpressible {
        /// The tool whose format it is.
        tool: &'static str,
        /// Everything that it cannot say.
        reasons: Vec<Inexpressible>,
    },
    /// An adapter of a token embedding, which in one format acts on an output head that is the same
    /// matrix and in another does not.
    #[error("{path}: whether the token embedding is the output head too, its model tells")]
    WhichModel {
        /// Path of the embedding.
        path: String,
    },
    /// An adapter of experts for a tool that has all of a layer together.
    #[error(
        "{path}: how many experts there are, and how files have them together, the model tells"
    )]
    WhichExperts {
        /// Path of a layer.
        path: String,
    },
    /// Weights with their adapters added are too large for their dtype.
    #[error(
        "merged with the adapter, weights are not finite in the model's dtype: {}",
        listed(tensors, ", ")
    )]
    Overflow {
        /// The tensors.
        tensors: Vec<String>,
    },
    /// Weights are packed in few bits, to which a sum with an adapter would be rounded.
    #[error(
        "an adapter is not merged into quantized weights, which would lose most of it: {}",
        listed(tensors, ", ")
    )]
    Packed {
        /// The tensors.
        tensors: Vec<String>,
    },
    /// Weights are packed in formats that nothing here packs matrices in.
    #[error(
        "weights in a format without a quantizer cannot be packed again: {}",
        listed(tensors, ", ")
    )]
    NoQuantizer {
        /// The tensors, with their formats.
        tensors: Vec<String>,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] crate::files::Error),
    /// A GGUF file cannot be written.
    #[error(transparent)]
    Gguf(#[from] crate::gguf::Error),
    /// A configuration file is not JSON, or not an object.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A field of a configuration file is not of its type.
    #[error("{}: {field}: {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// What was expected, and what is there.
        reason: String,
    },
    /// A tensor file is damaged.
    #[error("{}: not a valid safetensors file: {reason}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An operation failed.
    #[error(transparent)]
    Kernel(#[from] metal_candle_kernels::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Content of a place where an adapter was looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// No such file.
    #[error("is missing")]
    Nothing,
    /// Tensors in PyTorch's own format.
    #[error(
        "is in PyTorch's pickle format; adapters are read from adapter_model.safetensors alone"
    )]
    Pickle,
    /// An adapter of llama.cpp.
    #[error("is a GGUF file; adapters of PEFT and mlx-lm are read")]
    Gguf,
    /// A checkpoint.
    #[error("is a model, not an adapter")]
    Model,
    /// A folder with folders of adapters.
    #[error("holds adapters in folders: {}", listed(.0, ", "))]
    Folders(Vec<String>),
}

/// A field of a configuration that cannot be honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value} ({why})")]
pub struct Refusal {
    /// Name of the field.
    pub field: String,
    /// Its value, as JSON.
    pub value: String,
    /// Why not.
    pub why: &'static str,
}

/// A tensor of an adapter file that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The configuration calls for it.
    #[error("missing {key} {shape:?}")]
    Missing {
        /// Its name in the file.
        key: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Nothing calls for it.
    #[error("unexpected {key} {shape:?}: {why}")]
    Unexpected {
        /// Its name in the file.
        key: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What its name says.
        why: Unexpected,
    },
    /// A layer of this model has other widths.
    #[error("{key}: expected {expected:?}, got {got:?}")]
    Shape {
        /// Its name in the file.
        key: String,
        /// The shape that the model calls for.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// The layer fits, the rank is not the configuration's.
    #[error("{key}: rank {got}, adapter_config.json gives {expected}")]
    Rank {
        /// Its name in the file.
        key: String,
        /// The rank of the configuration.
        expected: usize,
        /// The rank of the tensor.
        got: usize,
    },
    /// Numbers of a kind that adapters are not read in.
    #[error("{key}: dtype {got}, expected F32, F16 or BF16")]
    Dtype {
        /// Its name in the file.
        key: String,
        /// The dtype in the file.
        got: String,
    },
    /// Values that nothing can be computed with.
    #[error("{key}: holds NaN or infinite values")]
    NotFinite {
        /// Its name in the file.
        key: String,
    },
    /// The adapter of an output head with other values than that of the embedding that it is.
    #[error("{key}: not the embedding's, and ensure_weight_tying says that they are one")]
    Untied {
        /// Its name in the file.
        key: String,
    },
    /// A weight of the base model with other values than the base model's.
    #[error("{key}: not the weight of this model, and modules_to_save does not name it")]
    Trained {
        /// Its name in the file.
        key: String,
    },
}

/// Meaning of the name of an unexpected tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// Magnitudes of DoRA beside an adapter without.
    #[error("adapter_config.json is not of DoRA")]
    Dora,
    /// A bias beside `B`.
    #[error("a bias on B is not built")]
    Bias,
    /// A name as mlx-lm writes it.
    #[error("a name of mlx-lm")]
    Mlx,
    /// A name as PEFT writes it, in a file of mlx-lm.
    #[error("a name of PEFT")]
    Peft,
    /// A name that does not begin as PEFT's.
    #[error("PEFT's names begin with base_model.model.")]
    NoPrefix,
    /// A wrapper of torch.compile or of distributed training in the name.
    #[error("saved from a wrapped model")]
    Wrapped,
    /// A name of a model without output head.
    #[error("trained on a model without output head")]
    Headless,
    /// A part of a multi-modal model.
    #[error("trained on a multi-modal model")]
    MultiModal,
    /// A second adapter in one file.
    #[error("the file holds it twice, for two names of an adapter")]
    Twice,
    /// A layer that exists and is no target.
    #[error("adapter_config.json does not target this layer")]
    NotTargeted,
    /// A layer that this model lacks.
    #[error("this model has no such layer")]
    NoSuchLayer,
    /// Nothing known.
    #[error("not a tensor of a LoRA adapter")]
    Unknown,
}

/// The first items of a list, and how many are left.
fn listed(items: &[impl ToString], between: &str) -> String {
    let mut shown: Vec<String> = items.iter().take(LISTED).map(ToString::to_string).collect();
    if items.len() > LISTED {
        shown.push(format!("and {} more", items.len() - LISTED));
    }
    shown.join(between)
}

/// The beginning of a text that came from a file.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}
