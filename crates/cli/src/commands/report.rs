use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::report;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle report adapters

The page is made of run.json, metrics.jsonl and report.json in the folder, also while a run goes on or
after it was killed. Every training ends with it (--no-report leaves it out).";

/// Write report.html: the curves, answers, checks and settings of a run as one page
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of a run, --adapter-path of `train`
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Writes the page.
///
/// # Errors
/// When no run has left anything in the folder, a file of it is damaged, or the page cannot be written.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let path = report::write(&args.folder)?;
    context.terminal.print_line(path.display())?;
    Ok(Exit::Done)
}
