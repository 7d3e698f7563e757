use super::problems::Problems;
use super::recognise::Found;
use std::path::PathBuf;

/// Error in a checkpoint, or in what is asked of a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] crate::files::Error),
    /// A GGUF file cannot be used.
    #[error(transparent)]
    Gguf(#[from] crate::gguf::Error),
    /// A JSON file does not hold what it should.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// The folder has neither `model.safetensors` nor its index.
    #[error(
        "{} holds no checkpoint: neither model.safetensors nor model.safetensors.index.json is there",
        folder.display()
    )]
    NoCheckpoint {
        /// The folder.
        folder: PathBuf,
    },
    /// Files that the index names do not exist.
    #[error("{}: missing shards: {shards}", folder.display())]
    MissingShards {
        /// The folder.
        folder: PathBuf,
        /// Their names.
        shards: Problems,
    },
    /// An index names a file that is not in its folder or below it.
    #[error("{}: names a shard outside of its folder: {shard}", path.display())]
    ShardOutside {
        /// The index.
        path: PathBuf,
        /// The name.
        shard: String,
    },
    /// A file is larger than any of its kind.
    #[error("{}: larger than {limit_bytes} bytes, the most that such a file may have", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The folder holds something else than a checkpoint that can be read.
    #[error("{} {found}", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What it holds.
        found: Found,
    },
    /// A field is missing, or its value is of no use.
    #[error("{}: {field} must be {expected}, got {got}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, with the object that it is in.
        field: String,
        /// What it must be.
        expected: String,
        /// Its value.
        got: String,
    },
    /// Two spellings of one setting say different things.
    #[error("{}: {first}, but {second}: they must be equal", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// One field and its value.
        first: String,
        /// The other.
        second: String,
    },
    /// Fields that are not understood, and may change the result.
    #[error(
        "{}: fields that metal-candle does not know, and that may change the result: {}",
        path.display(),
        fields.join(", ")
    )]
    UnknownFields {
        /// The file.
        path: PathBuf,
        /// Their names and values.
        fields: Vec<String>,
    },
    /// A tensor file is damaged.
    #[error("{}: damaged or truncated safetensors file: {reason}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tensors are not those that the configuration calls for.
    #[error("{} does not match its configuration:\n  {problems}", path.display())]
    Tensors {
        /// The checkpoint's folder, or its one file.
        path: PathBuf,
        /// Every missing, unexpected, misshaped or damaged tensor.
        problems: Problems,
    },
    /// The model type is not built.
    #[error("model_type {got:?} is not supported; supported: {}", supported.join(", "))]
    ModelType {
        /// The type in `config.json`.
        got: String,
        /// Types that exist.
        supported: Vec<&'static str>,
    },
    /// A configuration asks for something that would change the result and is not built.
    #[error("config.json: {field} = {value} is not supported: {reason}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A token is not in the vocabulary.
    #[error("token id {id} is out of range: the model's vocabulary has {vocab_size} tokens")]
    TokenOutOfRange {
        /// The token.
        id: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// Packed rows take no further ones.
    #[error("{path}: its rows are packed ({kind}), and no rows of new tokens fit behind them")]
    PackedVocabulary {
        /// Path of the layer.
        path: String,
        /// How it is packed.
        kind: String,
    },
    /// A sequence is longer than the positions that the model was made for.
    #[error("a sequence of {tokens} tokens is over the model's limit of {limit}")]
    TooLong {
        /// Length of the sequence in tokens.
        tokens: usize,
        /// `max_position_embeddings`.
        limit: usize,
    },
    /// Sequences of one pass whose caches show their tokens in different ways.
    #[error("sequences of one pass have caches over {} tokens and over {}", counted(*.first), counted(*.other))]
    MixedCaches {
        /// Tokens that a query sees in the first of them; `None` for all.
        first: Option<usize>,
        /// Tokens that it sees in another.
        other: Option<usize>,
    },
    /// A cache over a window cannot go back to a token whose window is gone.
    #[error(
        "a cache over {window} tokens holds those from {first_held} on: it cannot go back to {len} tokens"
    )]
    Trimmed {
        /// Tokens to go back to.
        len: usize,
        /// Position of the first token that is held.
        first_held: usize,
        /// Tokens that a query sees.
        window: usize,
    },
    /// A file of a prompt's keys and values cannot be used.
    #[error("{}: {problem}", path.display())]
    PromptCache {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, or does not fit the model.
        problem: String,
    },
    /// Rotary angles depend on the length of a text, so that keys of its beginning are not those of a longer one.
    #[error(
        "rotary angles of this model are others in texts of more than {tokens} tokens: keys of a prompt cannot be kept"
    )]
    NotKept {
        /// Longest text with the first angles.
        tokens: usize,
    },
    /// Keys in a cache were rotated by angles of shorter sequences.
    #[error(
        "a sequence of {tokens} tokens has other rotary angles than its first {held}, which its cache holds"
    )]
    Outgrown {
        /// Length of the sequence in tokens.
        tokens: usize,
        /// Number of tokens that the cache holds.
        held: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt is empty: the model needs at least one token to continue")]
    EmptyPrompt,
    /// The model's output is of no use.
    #[error("the model's {what} are not numbers (NaN)")]
    NotFinite {
        /// What is not finite.
        what: &'static str,
    },
    /// An operation failed.
    #[error(transparent)]
    Kernel(#[from] metal_candle_kernels::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn unsupported(
        field: &'static str,
        value: impl ToString,
        reason: &'static str,
    ) -> Self {
        Self::Unsupported {
            field,
            value: value.to_string(),
            reason,
        }
    }
}

fn counted(window: Option<usize>) -> String {
    window.map_or("all".into(), |n| n.to_string())
}

/// Result of loading or running a model.
pub type Result<T> = std::result::Result<T, Error>;
