//! `metal-candle`: fine-tune and use LoRA adapters from the command line.
//!
//! Everything that concerns a terminal or an environment variable is in this crate, everything
//! else in the library. It is a library itself so that crates/soft-metal can build the same program
//! over Metal in software.

mod adapter_options;
mod args;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod calibration;
mod commands;
mod counted_memory;
mod device;
mod error;
mod exit;
mod hub;
mod interrupt;
mod loading;
mod log;
mod numbers;
mod out_of_memory;
mod output_folder;
mod panics;
mod terminal;
mod training;

use args::Cli;
use commands::Context;
use error::{Error, Result};
use exit::Exit;
use metal_candle_kernels::simd::Level;
use std::process::ExitCode;
use terminal::Terminal;

/// The whole program: reads the command line, does what it says, tells what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let context = Context {
        terminal: Terminal::new(),
    };
    panics::keep_quiet();
    let exit = match panics::told(|| run(&context)) {
        Ok(exit) => exit,
        Err(error) => {
            context.terminal.error(&error);
            error.exit()
        }
    };
    exit.into()
}

fn run(context: &Context) -> Result<Exit> {
    let cli = Cli::from_command_line()?;
    log::start(cli.verbose, &context.terminal);
    check_simd_level()?;
    join_threads()?;
    commands::run(cli.with_config()?.command, context)
}

/// This thread works as one of the pool: handing a kernel to others alone and waiting for them takes
/// longer than many a kernel. A pool that cannot be built now cannot be built later.
fn join_threads() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().use_current_thread();
    pool.build_global().map_err(|error| {
        Error::failed(format!("cannot start the threads: {error}")).with_advice(
            "free memory or end other processes, or set RAYON_NUM_THREADS to fewer threads",
        )
    })
}

/// A wrong `METAL_CANDLE_SIMD` ends the run; kernels would only pass over it.
fn check_simd_level() -> Result<()> {
    let level = Level::chosen().map_err(|error| {
        Error::input(error).with_advice("unset the variable to take the widest instructions")
    })?;
    tracing::debug!(%level, "vector instructions of the kernels");
    Ok(())
}
