//! `metal-candle`: fine-tune and use LoRA adapters from the command line.
//!
//! Everything that concerns a terminal or an environment variable is in this crate, everything
//! else in the library. It is a library itself for programs beside it: metal-candle-bench takes from it what is public,
//! and crates/soft-metal builds the same program over Metal in software.

mod adapter_options;
mod args;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod cache_folder;
mod cache_options;
pub mod caches;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod calibration;
mod checks;
mod child;
pub mod command_line;
mod commands;
mod counted_memory;
pub mod device;
pub mod error;
pub mod exit;
mod hub;
mod interrupt;
mod load_options;
mod loading;
mod log;
pub mod machine;
mod mlx;
pub mod numbers;
mod out_of_memory;
mod output_folder;
mod panics;
pub mod program;
mod report;
mod row_keys;
mod rows;
mod shell;
mod tensorboard;
pub mod terminal;
mod training;

use args::Cli;
use clap::CommandFactory;
use commands::Context;
use std::process::ExitCode;

/// The whole program: reads the command line, does what it says, tells what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    program::exit_code(|terminal| {
        let cli: Cli = command_line::read()?;
        program::start(cli.verbose, terminal)?;
        if cli.quiet {
            terminal.be_quiet();
        }
        let context = Context {
            terminal: terminal.clone(),
            command_line: Cli::command,
        };
        commands::run(cli.with_config()?.command, &context)
    })
}
