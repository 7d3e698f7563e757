//! Low-rank adapters (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>) inside [`Linear`].
//!
//! An adapter is planned from a [`LoraConfig`] against the linear layers a model has, attached by
//! path, and read and written by [`format`](mod@format). Models only ever call [`Linear::forward`].

mod attach;
mod choice;
mod config;
mod error;
pub mod format;
mod linear;
mod pattern;
mod plan;
mod targets;

pub use attach::{attach, detach, fuse, merge, parameters, unmerge};
pub use config::LoraConfig;
use error::shortened;
pub use error::{Error, Found, Problem, Refusal, Unexpected};
pub use linear::{Adapter, Linear, Merged, Mode};
pub use plan::{LinearInfo, Placement, Plan};
pub use targets::Targets;
