//! Fine-tune and use LoRA adapters on candle.
//!
//! Modules depend on each other in this order: [`layout`] (where tokens stand), [`lora`] (adapters
//! beside the layers of a model and their files), [`models`] (decoders, checkpoints and caches),
//! [`data`] (tokenizers, chat templates, data sets), [`train`] and [`generate`]; [`LanguageModel`] is
//! all of them in a few lines, and [`fine_tune()`] a whole run from folder to folder. [`mod@verify`] proves what came of it, and
//! [`self_test`] the device.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub mod data;
pub mod device;
mod experts;
pub mod files;
pub mod fine_tune;
pub mod generate;
pub mod gguf;
pub mod language_model;
pub mod layout;
pub mod lora;
pub mod models;
#[cfg(test)]
mod own_program;
mod panics;
pub mod process;
mod random;
pub mod self_test;
pub mod train;
pub mod verify;

pub use experts::Stacks;
pub use fine_tune::fine_tune;
pub use language_model::LanguageModel;
