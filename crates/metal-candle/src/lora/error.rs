use std::path::PathBuf;

/// What can be wrong with an adapter.
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
    #[error("{what} {pattern} matches no linear layer; this model has: {}", available.join(", "))]
    NoMatch {
        /// Name of the setting.
        what: &'static str,
        /// The pattern as given.
        pattern: String,
        /// Names that would match, without their block.
        available: Vec<String>,
    },
    /// A regular expression does not parse.
    #[error("{what}: {source}")]
    Regex {
        /// Name of the setting.
        what: &'static str,
        /// Why.
        source: Box<regex::Error>,
    },
    /// The adapter file asks for something that would change the result and is not built.
    #[error("{}: {}; metal-candle refuses what it cannot compute exactly", path.display(), fields.join("; "))]
    Unsupported {
        /// The adapter's configuration file.
        path: PathBuf,
        /// Field, value and reason, one entry each.
        fields: Vec<String>,
    },
    /// The tensors of an adapter file are not those its configuration calls for.
    #[error("{} does not fit this model:\n  {}", path.display(), problems.join("\n  "))]
    Mismatch {
        /// The tensor file.
        path: PathBuf,
        /// Every missing, unexpected and misshaped tensor.
        problems: Vec<String>,
    },
    /// Weights with their adapters added are too large for their dtype.
    #[error(
        "merged with the adapter, weights are not finite in the model's dtype: {}",
        listing(tensors)
    )]
    Overflow {
        /// The tensors.
        tensors: Vec<String>,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] crate::files::Error),
    /// A configuration file is not what PEFT writes.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
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

/// The first twenty names, and how many more there are.
fn listing(names: &[String]) -> String {
    let first = &names[..names.len().min(20)];
    match names.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
