//! GGUF files, as llama.cpp reads them: metadata by key, and tensors
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! candle reads these files too, but takes a file's word for its sizes: it allocates whatever a string claims to have,
//! looks for no tensor's end, lets tensors overlap, and gives up a file for one tensor of a type that it does not know.

mod cursor;
mod error;
mod file;
mod header;
mod metadata;
mod tensor;
#[cfg(test)]
mod tests;
pub mod tokenizer;
mod value;
mod writer;

pub use error::{Error, Result};
pub use file::GgufFile;
pub use metadata::Metadata;
pub use tensor::{DataType, TensorInfo};
pub(crate) use value::shown;
pub use value::{Array, Value};
pub use writer::{TensorSource, Writer};

/// What a file begins with.
const MAGIC: [u8; 4] = *b"GGUF";

/// Multiple of which tensors begin at, where a file does not say.
const ALIGNMENT: u64 = 32;
