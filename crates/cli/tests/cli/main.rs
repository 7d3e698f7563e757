//! The real binary, from its command line to its files and exit codes.
#![allow(missing_docs, clippy::unwrap_used)]

mod activations;
mod adapter;
mod bad_adapters;
mod bad_data;
mod bad_models;
mod bad_options;
mod bad_outputs;
mod chat;
mod config_file;
mod doctor;
mod early_stopping;
mod fixture;
mod foreign_adapters;
mod fuse;
mod generate;
mod gpt_oss;
mod hostile_hub;
mod hub;
mod hub_data;
mod hub_server;
mod initial;
mod inspect;
mod interrupt;
mod memory;
mod memory_plan;
mod messy;
mod mlx;
mod new_tokens;
mod odd_files;
mod pipeline;
mod preference;
mod quantized;
mod quickstart;
mod report;
mod run_folder;
mod server;
mod session;
mod shapes;
mod sources;
mod told;
mod train;
mod verify;

/// What the fixture runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_metal-candle");
