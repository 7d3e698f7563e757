//! Data from files to batches: tokenizers, chat templates, data sets, loss masks, and text coming back
//! out.
//!
//! A row of a file ([`Row`]) becomes tokens of which some are trained ([`Example`]), examples
//! become a [`Batch`].

mod added_tokens;
mod batch;
mod batches;
mod bos;
mod bpe;
mod chat;
mod convention;
mod counted;
mod dataset;
mod error;
mod example;
mod examples;
mod fingerprint;
mod json;
mod mask;
pub(crate) mod mlx_order;
mod notes;
mod overview;
mod pair;
mod questions;
mod reader;
mod render;
mod row;
mod shape;
mod shown;
mod source;
mod special_tokens;
mod splits;
mod stop;
mod stream;
mod template;
mod templates;
#[cfg(test)]
mod testing;
mod tokenizer;
mod trained_places;
mod windows;

pub use batch::{Batch, IGNORED, PairPlaces};
pub use batches::{Batches, Cursor};
pub use bos::Plain;
pub use bpe::{train_bpe, write_tokenizer};
pub use convention::Convention;
pub use dataset::{Dataset, Options, longest_row};
pub use error::{Error, Result, RowError};
pub use example::Example;
pub use examples::Examples;
pub use json::{Json, JsonError, Object};
pub use mask::{Turns, assistant_turns};
pub use mlx_order::permutation;
pub use overview::{Lengths, Overview};
pub use pair::Pair;
pub use questions::{Question, questions};
pub use render::{MaskSpan, mask_spans, token_texts};
pub use row::{Content, Row, RowKind};
pub use shape::{Keys, Shape};
pub use shown::Shown;
pub use source::{FileFormat, Files, Source, Unit};
pub use splits::{HeldOut, Split, Splits};
pub use stop::{Checked, StopStrings};
pub use stream::TextStream;
pub use template::{ChatTemplate, Conversation, Message};
pub use tokenizer::{Encoded, Tokenizer, has_tokenizer_files};
pub use trained_places::TrainedPlaces;
pub use windows::{Windows, sample};
