//! Words of the command line, and what is wrong with them, for any parser of clap's.

pub(crate) mod dashes;

use crate::error::{Error, Result};
use crate::mlx;
use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;

/// Options of the process's own command line. Ends the process when help was asked for.
///
/// # Errors
/// When the words are not those of `P`.
pub fn read<P: Parser>() -> Result<P> {
    parse(words::<P>())
}

/// Options that `words` name, the program first. Ends the process when help was asked for.
///
/// # Errors
/// When the words are not those of `P`.
pub(crate) fn parse<P: Parser>(words: Vec<OsString>) -> Result<P> {
    P::try_parse_from(words).map_err(|error| match error.kind() {
        // Help, that is, in full and in colours.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ if !error.use_stderr() => error.exit(),
        _ => told(&error),
    })
}

/// Words of the process, a value that begins with a dash joined to its option.
pub(crate) fn words<P: Parser>() -> Vec<OsString> {
    dashes::joined(mlx::translated(std::env::args_os()), P::command())
}

/// Error of the command line; a refused option of mlx-lm's has its own words.
fn told(error: &clap::Error) -> Error {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<mlx::Refusal>()) {
        Some(refusal) => (*refusal).into(),
        None => Error::input(message(error)),
    }
}

/// Words of clap's error, without what an [`Error`] says itself.
pub(crate) fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.strip_prefix("error: ")
        .unwrap_or(&text)
        .trim_end()
        .to_string()
}
