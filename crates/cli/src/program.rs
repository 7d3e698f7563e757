//! Beginning and end of a program, whichever commands it has.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::terminal::Terminal;
use crate::{log, panics};
use metal_candle_kernels::simd::Level;
use std::process::ExitCode;

/// Exit code of `run`, whose errors and panics are told on the terminal.
pub fn exit_code(run: impl FnOnce(&Terminal) -> Result<Exit>) -> ExitCode {
    let terminal = Terminal::default();
    panics::keep_quiet();
    let exit = panics::told(|| run(&terminal)).unwrap_or_else(|error| {
        terminal.error(&error);
        error.exit()
    });
    exit.into()
}

/// Starts log lines, with more of them the more `verbose` is, and the threads of the kernels.
///
/// # Errors
/// When `METAL_CANDLE_SIMD` names no level of this processor, or the threads cannot be started.
pub fn start(verbose: u8, terminal: &Terminal) -> Result<()> {
    log::start(verbose, terminal);
    check_simd_level()?;
    join_threads()
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
