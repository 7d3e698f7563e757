//! Text generation on token ids: prefill, decode with a key-value cache, sampling.

mod generator;
mod sampler;

pub use generator::{FinishReason, Generator, Limit, Speed, Step};
pub use sampler::{Sampler, Sampling};
