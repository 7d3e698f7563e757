//! `--data`: a folder, a file, standard input, or a data set of the Hugging Face hub.

use crate::error::{Error, Result};
use crate::hub;
use crate::row_keys::RowKeys;
use crate::terminal::Terminal;
use metal_candle::data::Source;
use metal_candle::files;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Name of standard input.
const STDIN: &str = "-";

/// Finds the rows that `--data` names.
///
/// # Errors
/// When nothing of that name is there, or it cannot be downloaded or read.
pub fn find(path: &Path, keys: &RowKeys, terminal: &Terminal) -> Result<Source> {
    let source = match path.to_str() {
        Some(STDIN) => stdin(terminal)?,
        Some(name) if hub::is_data_set(name) && !files::is_there(path) => {
            hub::data_set(name, terminal)?
        }
        _ if path.is_file() || path.is_dir() => Source::at(path)?,
        // A pipe is read once.
        _ if files::is_there(path) => Source::of_bytes(path, files::read_bytes(path)?),
        _ => {
            return Err(Error::input(format!(
                "--data {}: this folder or file does not exist",
                path.display()
            ))
            .with_advice(
                "check the path; --data names a folder with train.jsonl, a file of rows, - for standard input, or a \
                 data set of the Hugging Face hub as OWNER/NAME",
            ));
        }
    };
    Ok(source.with_keys(keys.keys()))
}

fn stdin(terminal: &Terminal) -> Result<Source> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        terminal.say("Reading rows from standard input");
    }
    let mut bytes = vec![];
    let read = stdin.read_to_end(&mut bytes);
    read.map_err(|source| Error::input(format!("cannot read standard input: {source}")))?;
    Ok(Source::of_bytes("standard input", bytes))
}
