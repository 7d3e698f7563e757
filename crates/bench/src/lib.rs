//! `metal-candle-bench`: what is computed, how fast, and how much of what the machine can do that is.
//!
//! It is a library itself so that crates/soft-metal can build the same program over Metal in software.

mod answer;
mod bars;
mod ceilings;
mod clock;
mod generate;
mod machine;
mod marks;
mod ops;
mod options;
mod page;
mod peer;
mod plot;
mod published;
mod record;
mod report;
mod rows;
mod sitting;
mod summary;
mod table;
mod train;

use clap::Parser;
use metal_candle_cli::error::Result;
use metal_candle_cli::exit::Exit;
use metal_candle_cli::terminal::Terminal;
use metal_candle_cli::{command_line, program};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  metal-candle-bench ops --filter \"softmax f32\" --vs candle
  metal-candle-bench ops --table --vs pytorch --python .venv/bin/python --record
  metal-candle-bench train --vs pytorch --python .venv/bin/python --record
  metal-candle-bench ops --table --device metal --vs candle,engines,mlx --python .venv/bin/python --record
  metal-candle-bench generate --json
  metal-candle-bench generate --model model.gguf --prompt 529 --tokens 128 --vs llama.cpp --python .venv/bin/python
  metal-candle-bench report bench-records/MACHINE/DATE-COMMIT.json --page docs/benchmarks.md

RAYON_NUM_THREADS sets the number of threads; docs/benchmarks.md says what the figures mean.";

/// Measure operations, training and generation of metal-candle, and compare them with others
#[derive(Parser, Debug)]
#[command(name = "metal-candle-bench", version, args_override_self = true)]
#[command(after_help = EXAMPLES)]
struct Cli {
    /// What to measure
    #[command(subcommand)]
    what: What,
    /// Tell more on standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    Ops(ops::Args),
    Train(train::Args),
    Generate(generate::Args),
    Report(report::Args),
}

/// The whole program: reads the command line, measures or reports, tells what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    program::exit_code(|terminal| {
        let cli: Cli = command_line::read()?;
        program::start(cli.verbose, terminal)?;
        run(&cli.what, terminal)?;
        Ok(Exit::Done)
    })
}

fn run(what: &What, terminal: &Terminal) -> Result<()> {
    match what {
        What::Ops(args) => ops::run(args, terminal),
        What::Train(args) => train::run(args, terminal),
        What::Generate(args) => generate::run(args, terminal),
        What::Report(args) => report::run(args, terminal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }
}
