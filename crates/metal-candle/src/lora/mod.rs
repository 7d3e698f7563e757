//! Adapters (low-rank ones, Hu et al. 2021, <https://arxiv.org/abs/2106.09685>) beside a model.
//!
//! Adapters are planned from a [`LoraConfig`] against the linear layers that a model has; an
//! [`AdapterSet`] holds them by the paths of the layers, and [`format`](mod@format) reads and writes
//! it. Models only ever call [`Linear::forward`] with the [`Context`] of a pass, which says whose
//! adapters its tokens have.

mod choice;
mod config;
mod context;
mod error;
pub mod format;
mod fusion;
mod initial;
mod linear;
mod methods;
mod mode;
mod pattern;
mod plan;
mod set;
mod targets;
#[cfg(test)]
mod tests;

pub use config::{LastBlocks, LoraConfig};
pub use context::{Adapters, Context, Share};
use error::shortened;
pub use error::{Error, Found, Problem, Refusal, Unexpected};
pub use fusion::{FusedLayer, Fusion, Summary, Survival};
pub use initial::{Eva, EvaSearch, EvaStart, Init};
pub use linear::{Embedding, Kind, Linear, PlainLayer};
pub use methods::{Adapter, LowRank, Method, is_b, layer_of};
pub use mode::Mode;
pub(crate) use plan::{EMBEDDING, HEAD, last_name};
pub use plan::{LayerInfo, Placement, Plan};
pub use set::AdapterSet;
pub use targets::Targets;
