//! Generation: an engine on token ids (prefill, decode with caches, sampling), and text above it.

mod engine;
mod finish;
mod logprobs;
mod prompt;
mod sampler;
mod sequence;
mod text;

pub use engine::Engine;
pub use finish::{FinishReason, Limit};
pub use logprobs::Logprobs;
pub use prompt::read_prompt;
pub use sampler::{Sampler, Sampling};
pub use sequence::{Request, Step, Token};
pub use text::{Piece, Text};

/// Number of a text in an engine, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(u64);
