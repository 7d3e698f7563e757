use super::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use metal_candle::files;
use std::path::PathBuf;

/// Print the man page, or write those of all commands
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write a page for every command into this folder
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

/// Prints or writes.
///
/// # Errors
/// When standard output or the folder does not take it.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.output {
        Some(folder) => {
            files::make_folder(&folder)?;
            clap_mangen::generate_to((context.command_line)(), &folder).map_err(|error| {
                Error::failed(format!("cannot write into {}: {error}", folder.display()))
            })?;
        }
        None => {
            let mut page = vec![];
            let man = clap_mangen::Man::new((context.command_line)());
            man.render(&mut page).map_err(Error::failed)?;
            context.terminal.print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Done)
}
