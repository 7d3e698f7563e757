//! One module for each command: its options and what it does.

pub mod adapter;
pub mod cache_prompt;
pub mod calibrate;
pub mod chat;
pub mod completions;
pub mod convert;
pub mod doctor;
pub mod fuse;
pub mod generate;
pub mod inspect;
pub mod man;
pub mod perplexity;
pub mod quickstart;
pub mod report;
pub mod server;
pub mod train;
pub mod verify;

use crate::error::Result;
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Surroundings that every command is given.
pub struct Context {
    /// Where results, notices and progress go.
    pub terminal: Terminal,
    /// The commands and options of the program.
    pub command_line: fn() -> clap::Command,
}

/// The commands; the first lines of their options are what `--help` lists.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    Quickstart(quickstart::Args),
    #[command(visible_alias = "lora")]
    Train(Box<train::Args>),
    Verify(verify::Args),
    Report(report::Args),
    Generate(generate::Args),
    #[command(alias = "cache_prompt")]
    CachePrompt(cache_prompt::Args),
    Chat(chat::Args),
    Server(Box<server::Args>),
    Perplexity(perplexity::Args),
    Inspect(inspect::Args),
    Fuse(fuse::Args),
    Convert(convert::Args),
    Adapter(adapter::Args),
    Calibrate(calibrate::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

impl Command {
    /// Tells which options of mlx-lm's change nothing.
    fn tell_idle(&self) {
        match self {
            Self::Train(args) => args.mlx.tell(),
            Self::Generate(args) => args.mlx.tell(),
            Self::CachePrompt(args) => args.mlx.tell(),
            Self::Chat(args) => args.mlx.tell(),
            Self::Server(args) => args.mlx.tell(),
            Self::Perplexity(args) => args.mlx.tell(),
            Self::Fuse(args) => args.mlx.tell(),
            Self::Convert(args) => args.mlx.tell(),
            _ => {}
        }
    }
}

/// Runs a command.
///
/// # Errors
/// Those of the command.
pub fn run(command: Command, context: &Context) -> Result<Exit> {
    command.tell_idle();
    match command {
        Command::Quickstart(args) => quickstart::run(args, context),
        Command::Train(args) => train::run(*args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Report(args) => report::run(args, context),
        Command::Generate(args) => generate::run(args, context),
        Command::CachePrompt(args) => cache_prompt::run(args, context),
        Command::Chat(args) => chat::run(args, context),
        Command::Perplexity(args) => perplexity::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Fuse(args) => fuse::run(args, context),
        Command::Convert(args) => convert::run(args, context),
        Command::Adapter(args) => adapter::run(args, context),
        Command::Calibrate(args) => calibrate::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Man(args) => man::run(args, context),
        Command::Server(args) => server::run(*args, context),
    }
}
