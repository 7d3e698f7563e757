//! mlx-lm 0.32.2 as our commands take it: the defaults of `mlx_lm.lora`, the options of its programs that are none of
//! ours, and how its files of settings are known.

mod accepted;
mod defaults;
mod foreign;
mod options;
mod words;

pub use accepted::{Accepted, Program};
pub use defaults::{adapter, are_its_keys, default_options};
pub use foreign::{Foreign, Refusal};
pub use options::{
    CachePrompt, Chat, Convert, Fuse, Generate, Lora, Perplexity, REPORT_TO, Server,
};
pub use words::translated;
