//! Fine-tune and use LoRA adapters on candle.
//!
//! Modules depend on each other in this order: [`lora`] (adapters inside linear layers and their
//! files), [`models`] (decoders and checkpoints), [`data`](crate) (tokenizers, chat templates,
//! data sets), [`train`] and [`generate`].

pub mod files;
pub mod lora;
pub mod models;
mod random;
