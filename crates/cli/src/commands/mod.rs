//! One module for each command: its options and what it does.

pub mod adapter;
pub mod calibrate;
pub mod convert;
pub mod doctor;
pub mod fuse;
pub mod generate;
pub mod inspect;
pub mod perplexity;
pub mod quickstart;
pub mod train;

use crate::error::Result;
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Surroundings that every command is given.
pub struct Context {
    /// Where results, notices and progress go.
    pub terminal: Terminal,
}

/// The commands; the first lines of their options are what `--help` lists.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    Quickstart(quickstart::Args),
    Train(Box<train::Args>),
    Generate(generate::Args),
    Perplexity(perplexity::Args),
    Inspect(inspect::Args),
    Fuse(fuse::Args),
    Convert(convert::Args),
    Adapter(adapter::Args),
    Calibrate(calibrate::Args),
    Doctor(doctor::Args),
}

/// Runs a command.
///
/// # Errors
/// Those of the command.
pub fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Quickstart(args) => quickstart::run(args, context),
        Command::Train(args) => train::run(*args, context),
        Command::Generate(args) => generate::run(args, context),
        Command::Perplexity(args) => perplexity::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Fuse(args) => fuse::run(args, context),
        Command::Convert(args) => convert::run(args, context),
        Command::Adapter(args) => adapter::run(args, context),
        Command::Calibrate(args) => calibrate::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
    }
}
