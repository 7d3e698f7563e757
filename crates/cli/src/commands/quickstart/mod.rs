use super::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Train a tiny model from nothing, fine-tune it and show the difference
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// Always: it is not there yet.
pub fn run(_args: Args, _context: &Context) -> Result<Exit> {
    Err(Error::input("quickstart is not built yet"))
}
