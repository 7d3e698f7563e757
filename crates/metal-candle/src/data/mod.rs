//! Data from files to batches: tokenizers, chat templates, data sets, loss masks, and text coming back
//! out.
//!
//! A row of a JSONL file ([`Row`]) becomes tokens of which some are trained ([`Example`]), examples
//! become a [`Batch`].

mod added_tokens;
mod batch;
mod batches;
mod bos;
mod bpe;
mod chat;
mod dataset;
mod error;
mod example;
mod format;
mod json;
mod lines;
mod mask;
mod notes;
mod reader;
mod render;
mod row;
mod special_tokens;
mod splits;
mod stop;
mod stream;
mod template;
mod templates;
#[cfg(test)]
mod testing;
mod tokenizer;
mod windows;

pub use batch::{Batch, IGNORED};
pub use batches::{Batches, Cursor};
pub use bos::Plain;
pub use bpe::{train_bpe, write_tokenizer};
pub use dataset::{Dataset, Options, longest_row};
pub use error::{Error, Result, RowError};
pub use example::Example;
pub use format::FileFormat;
pub use json::{Json, JsonError, Object};
pub use mask::{Turns, assistant_turns};
pub use render::{MaskSpan, mask_spans};
pub use row::{Row, RowKind};
pub use splits::{Split, Splits};
pub use stop::{Checked, StopStrings};
pub use stream::TextStream;
pub use template::{ChatTemplate, Conversation, Message};
pub use tokenizer::{Encoded, Tokenizer, has_tokenizer_files};
pub use windows::{Windows, sample};
