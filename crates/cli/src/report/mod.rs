//! `report.html`: a run as one page, made from what lies in its folder. The page is whole in itself: no script, no
//! network.

mod chart;
mod curves;
mod html;
mod metrics;
mod page;
mod run;
mod sections;
mod told;
mod words;

pub use told::{Line, Memory, Outcome, Told};
pub use words::duration;

use crate::error::{Error, Result};
use metal_candle::files;
use run::Run;
use std::path::{Path, PathBuf};

/// File of the page, in the folder of a run.
const PAGE: &str = "report.html";

/// File of what only the run itself can tell: answers, checks, warnings.
const TOLD: &str = "report.json";

/// Keeps what a run tells of itself.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep(folder: &Path, told: &Told) -> Result<()> {
    Ok(files::write_json(&folder.join(TOLD), told)?)
}

/// Writes the page of the run in `folder`; where it is.
///
/// # Errors
/// When no run has left anything there, a file of it is damaged, or the page cannot be written.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let run = Run::read(folder)?;
    let (path, page) = (folder.join(PAGE), page::of(&run));
    files::write_whole(&path, |file| file.write_all(page.as_bytes()))?;
    Ok(path)
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    let (shown, name) = (path.display(), path.file_name().unwrap_or_default());
    Error::input(format!("{shown}: {reason}")).with_advice(format!(
        "move {} away: the report is made of what is left",
        name.to_string_lossy()
    ))
}
