//! The parts that decoders are made of.

pub(super) mod attention;
pub(super) mod block;
pub(super) mod embedding;
pub(super) mod experts;
pub(super) mod mlp;
pub(super) mod norm;
mod part;
mod projections;
pub(super) mod rope;
mod sinks;
pub(super) mod window;

pub use norm::RmsNorm;
pub use part::{Part, PartMut};
pub(super) use part::{Visit, visit};
pub use sinks::Sinks;
