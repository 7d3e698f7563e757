//! Adapter files of other tools; key names of files appear nowhere else.
//!
//! [`read`] looks at what lies at a path, and reads it as the tool does that wrote it: a folder of PEFT
//! or of mlx-lm. llama.cpp's files are written only. Reading is strict: every tensor must be one that the configuration calls for, in its
//! shape. Shapes are compared before anything is allocated, and the tensors of the file become the
//! parameters.

mod check;
mod common;
mod copies;
mod file;
mod find;
pub mod gguf;
mod halves;
mod inexpressible;
mod json;
mod layers;
pub mod mlx;
mod names;
pub mod peft;
mod portable;
mod stacked;
mod tensors;
mod vocabulary;

pub use file::{AdapterFile, read, read_for};
pub use inexpressible::Inexpressible;
pub use portable::{Base, Portable};
pub use vocabulary::Vocabulary;

use serde_json::{Map, Value};

/// A tool's way to keep adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// PEFT's folders.
    Peft,
    /// mlx-lm's folders.
    Mlx,
}

impl Format {
    /// Format that a configuration with these fields is of.
    fn of(fields: &Map<String, Value>) -> Self {
        let is_mlx = ["fine_tune_type", "lora_parameters"]
            .iter()
            .any(|field| fields.contains_key(*field));
        match is_mlx && !fields.contains_key("peft_type") {
            true => Self::Mlx,
            false => Self::Peft,
        }
    }

    /// Name of the tensor file in a folder.
    fn tensors(self) -> &'static str {
        match self {
            Self::Peft => peft::TENSORS,
            Self::Mlx => mlx::TENSORS,
        }
    }

    /// Name of the tool.
    #[must_use]
    pub fn tool(self) -> &'static str {
        match self {
            Self::Peft => "PEFT",
            Self::Mlx => "mlx-lm",
        }
    }
}
